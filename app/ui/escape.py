"""Model text made safe for a page that renders Markdown, and back.

Outside fenced code `&` and `<` become entities, so that no tag of the model's (`<style>`, `<img>`) works and its
`<box>` and `<ref>` stay visible; `![` loses its power to load a picture from elsewhere; nesting is capped, because
a browser's renderer recurses and a degenerate answer would take the page down. In code an invisible mark after `<`
does the same where an entity would be shown as such.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

JOINER = "\u2060"  # WORD JOINER: invisible, no whitespace; the page's script removes it from what is copied
MAX_MARKERS = 6  # list and quote markers at the start of a line
MAX_INDENT = 24  # columns; deeper indentation nests no further
MAX_DELIMITERS = 200  # emphasis marks and brackets in one paragraph

_FENCE = re.compile(r"```[\w+#.-]*\n?")
_FENCE_LIKE = re.compile(r"```|~~~|\r")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_MATH = re.compile(r"\$\$|\\\(|\\\[|\\begin\{")
_TAG = re.compile(r"<[A-Za-z/!?]|!\[")
_MARKERS = re.compile(rf"(?:[ \t]*(?:[-*+>]|\d{{1,9}}[.)])(?=[ \t>]|$)){{{MAX_MARKERS}}}[ \t]*")
_INDENT = re.compile(rf"[ \t]{{{MAX_INDENT}}}")
_DELIMITERS = re.compile(r"[*_~\[\]]")
_INLINE_CODE = re.compile(r"(?<![`\\])(`{1,2})(?!`)([^`\n]+)(?<!`)\1(?!`)")


def escape_prose(text: str) -> str:
    """What is no code, with every tag as text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("![", "&#33;[")


def escape(text: str, prose: Callable[[str], str] = escape_prose) -> str:
    """Markdown that shows the model's text and does nothing else; `unescape` gives the text back.

    Args:
        prose: writes the pieces that are no code, in their order.
    """
    text = text.replace(JOINER, "")
    exact = _is_unambiguous(text)
    return "".join(_code(part, exact) if fenced else _prose(part, prose) for fenced, part in _split(text))


def unescape(markdown: str) -> str:
    """The text that was escaped, or what a user made of it in an edit box."""
    parts = _split(markdown.replace(JOINER, ""))
    return "".join(part if fenced else _unescape_prose(part) for fenced, part in parts)


def _is_unambiguous(text: str) -> bool:
    """Whether the page's parser is sure to see the same fences as `_split`; math may swallow one."""
    lines = [line for line in _LINE.findall(text) if _FENCE_LIKE.search(line)]
    return not _MATH.search(text) and all(_FENCE.fullmatch(line) for line in lines)


def _split(text: str) -> list[tuple[bool, str]]:
    """Pieces of text, True for fenced code at the left margin. An open fence lasts to the end."""
    pieces: list[tuple[bool, str]] = []
    piece: list[str] = []
    inside = False
    for line in _LINE.findall(text):
        if inside and line.strip() == "```":
            pieces.append((True, "".join([*piece, line])))
            piece, inside = [], False
        elif not inside and _FENCE.fullmatch(line):
            pieces.append((False, "".join(piece)))
            piece, inside = [line], True
        else:
            piece.append(line)
    pieces.append((inside, "".join(piece)))
    return pieces


def _code(part: str, exact: bool) -> str:
    return part if exact else _join(part)


def _join(code: str) -> str:
    return _TAG.sub(lambda match: JOINER.join(match[0]), code)


def _prose(part: str, prose: Callable[[str], str]) -> str:
    pieces: list[str] = []
    start = 0
    for match in _INLINE_CODE.finditer(part):
        pieces += [prose(part[start : match.start()]), _join(match[0])]
        start = match.end()
    pieces.append(prose(part[start:]))
    return _cap_delimiters(_cap_lines("".join(pieces)))


def _unescape_prose(part: str) -> str:
    pieces: list[str] = []
    start = 0
    for match in _INLINE_CODE.finditer(part):
        pieces += [html.unescape(part[start : match.start()]), match[0]]
        start = match.end()
    return "".join([*pieces, html.unescape(part[start:])])


def _cap_lines(text: str) -> str:
    return "".join(_cap_line(line) for line in _LINE.findall(text))


def _cap_line(line: str) -> str:
    for pattern in (_MARKERS, _INDENT):
        match = pattern.match(line)
        if match:
            return line[: match.end()] + JOINER + line[match.end() :]
    return line


def _cap_delimiters(text: str) -> str:
    return re.sub(r"(?:[^\n]+\n?)+", lambda paragraph: _cap_paragraph(paragraph[0]), text)


def _cap_paragraph(paragraph: str) -> str:
    marks = [match.end() for match in _DELIMITERS.finditer(paragraph)]
    if len(marks) <= MAX_DELIMITERS:
        return paragraph
    cut = marks[MAX_DELIMITERS]
    rest = _DELIMITERS.sub(lambda match: f"&#{ord(match[0])};", paragraph[cut:])
    return paragraph[:cut] + rest
