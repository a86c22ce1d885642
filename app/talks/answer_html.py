"""A model's Markdown as HTML that runs nothing and loads nothing, whoever wrote it.

Tags are text, images are links, and a link goes to a web page or a mail address or is none. A formula is shown as it is
written, in a `code`; a place in a picture by its name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from app.boxes import mark_at

FORMULAS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"))
LONGEST_FORMULA = 4000  # characters, so that many that never end cost little
_LINK = re.compile(r"(?:https?|mailto):", re.IGNORECASE)


def answer_html(answer: str, unnamed: Callable[[int], str]) -> str:
    """HTML of an answer.

    Args:
        unnamed: what stands for a place that the model gave no name, by its number from 1.
    """
    rendered: str = _parser().render(answer, {"unnamed": unnamed, "count": 0})
    return rendered


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    parser.disable("image")
    parser.validateLink = lambda url: bool(_LINK.match(url))  # type: ignore[method-assign]
    parser.block.ruler.before("fence", "formula", _formula_block, {"alt": ["paragraph", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "formula", _formula)
    parser.inline.ruler.before("autolink", "place", _place)
    parser.add_render_rule("formula", _show_formula)
    parser.add_render_rule("place", _show_place)
    parser.add_render_rule("link_open", _show_link)
    return parser


def _formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Lines of their own from an opening to the sign that closes it; what is in them is no Markdown."""
    if state.is_code_block(start):
        return False
    begin = state.bMarks[start] + state.tShift[start]
    closing = next((closing for opening, closing in FORMULAS[:2] if state.src.startswith(opening, begin)), "")
    at = state.src.find(closing, begin + 2, begin + LONGEST_FORMULA) if closing else -1
    if at < 0:
        return False
    last = next((line for line in range(start, end) if state.eMarks[line] > at), end)
    outside = any(state.sCount[line] < state.blkIndent and not state.isEmpty(line) for line in range(start, last))
    if last == end or outside or state.src[at + 2 : state.eMarks[last]].strip():
        return False  # it ends behind the list or quote, or text goes on behind it
    if not silent:
        token = state.push("formula", "code", 0)
        token.block, token.map = True, [start, last + 1]
        token.content = state.getLines(start, last + 1, state.blkIndent, False).strip()[2:-2].strip()
        state.line = last + 1
    return True


def _formula(state: StateInline, silent: bool) -> bool:
    for opening, closing in FORMULAS:
        if not state.src.startswith(opening, state.pos):
            continue
        start = state.pos + len(opening)
        end = state.src.find(closing, start, min(start + LONGEST_FORMULA, state.posMax))
        if end <= start:
            return False
        if not silent:
            state.push("formula", "code", 0).content = state.src[start:end].strip()
        state.pos = end + len(closing)
        return True
    return False


def _place(state: StateInline, silent: bool) -> bool:
    mark = mark_at(state.src, state.pos) if state.src[state.pos] == "<" else None
    if mark is None:
        return False
    if not silent:
        state.push("place", "", 0).content = mark.name
    state.pos += len(mark.source)
    return True


def _show_formula(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    code = f'<code class="formula">{html.escape(tokens[index].content)}</code>'
    return f"<pre>{code}</pre>\n" if tokens[index].block else code


def _show_place(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    name = tokens[index].content
    if not name:
        env["count"] += 1
        name = env["unnamed"](env["count"])
    return html.escape(name)


def _show_link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer")
    return renderer.renderToken(tokens, index, options, env)
