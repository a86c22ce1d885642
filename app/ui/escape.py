"""Model text made safe for a page that renders Markdown, and back.

Outside code `&` and `<` become entities, so that no tag of the model's (`<style>`, `<img>`) works and its `<box>` and
`<ref>` stay visible; `![` loses its power to load a picture from elsewhere; nesting is capped, because a browser's
renderer recurses and a degenerate answer would take the page down. In code an invisible mark after `<` does the same
where an entity would be shown as such; it also does where a parser sees no code. Code named mermaid is marked too, for
the page's parser would take it for HTML.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Literal, TypeAlias

JOINER = "\u2060"  # WORD JOINER: invisible, no whitespace; the page's script removes it from what is copied
MAX_MARKERS = 6  # list and quote markers at the start of a line
MAX_INDENT = 24  # columns; deeper indentation nests no further
MAX_DELIMITERS = 200  # emphasis marks and brackets in one paragraph
MAX_CODE_DELIMITERS = 800  # the same where code is seen that may be none; code has many

Kind: TypeAlias = Literal["prose", "fenced", "indented"]

_FENCE = re.compile(r"(```)[\w+#.-]*\n?")
_FENCE_LIKE = re.compile(r"```|~~~|\r")
_OPENING = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t>]+)*(`{3,}(?=[^`]*\Z)|~{3,})[^\n]*\n?")
_ITEM = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]")
_INDENTED = re.compile(r" {0,3}\t| {4}")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_UNSURE = re.compile(r"\$\$|\\\(|\\\[|\\begin\{|\]:")
_ACTIVE = re.compile(r"<(?=[A-Za-z/!?])|!(?=\[)|&(?=#?\w+;)")
_MERMAID = re.compile(r"```mermaid", re.IGNORECASE)
_MARKERS = re.compile(rf"(?:[ \t]*(?:[-*+>]|\d{{1,9}}[.)])(?=[ \t>]|$)){{{MAX_MARKERS}}}[ \t]*")
_INDENT = re.compile(rf"[ \t]{{{MAX_INDENT}}}")
_DELIMITERS = re.compile(r"[*_~\[\]]")
_ANY_DELIMITERS = re.compile(r"[*_~\[\]]|&(?:amp;)*#(?:42|91|93|95|126);")  # as many before and after escaping
_PARAGRAPH = re.compile(r"(?:[^\n]+\n?)+")
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
    pieces: list[str] = []
    for kind, part in _split(text):
        if kind == "prose":
            pieces.append(_prose(part, prose))
        else:
            pieces.append(part if exact and kind == "fenced" else _cap_lines(_join(part)))
    return _MERMAID.sub(lambda found: found[0] + JOINER, "".join(pieces))


def unescape(markdown: str) -> str:
    """The text that was escaped, or what a user made of it in an edit box."""
    parts = _split(markdown.replace(JOINER, ""))
    return "".join(_unescape_prose(part) if kind == "prose" else part for kind, part in parts)


def _is_unambiguous(text: str) -> bool:
    """Whether the page's parser is sure to see the same fences as `_split`; math and names of links may swallow one."""
    lines = [line for line in _LINE.findall(text) if _FENCE_LIKE.search(line)]
    return not _UNSURE.search(text) and all(_FENCE.fullmatch(line) for line in lines)


def _split(text: str) -> list[tuple[Kind, str]]:
    """Prose, and what is probably code. An open fence lasts to the end."""
    crowded = _is_crowded(text)
    opening = _FENCE if crowded else _OPENING
    pieces: list[tuple[Kind, str]] = []
    kind: Kind = "prose"
    piece: list[str] = []
    fence = ""
    empty, listed = True, False

    def begin(other: Kind) -> None:
        nonlocal kind, piece
        pieces.append((kind, "".join(piece)))
        kind, piece = other, []

    for line in _LINE.findall(text):
        if fence:
            piece.append(line)
            if _closes(line, fence):
                begin("prose")
                fence, empty = "", False
            continue
        if found := opening.fullmatch(line):
            begin("fenced")
            fence = found[1]
        elif line.strip():
            deep = not crowded and bool(_INDENTED.match(line))
            indented = deep and not listed and (empty or kind == "indented")
            if indented != (kind == "indented"):
                begin("indented" if indented else "prose")
            # What is indented after a list belongs to its last item.
            listed = bool(_ITEM.match(line)) or (listed and not (empty and not line[0].isspace()))
        empty = not line.strip()
        piece.append(line)
    begin("prose")
    return pieces


def _closes(line: str, fence: str) -> bool:
    """Whether a line ends the code that began with a fence."""
    end = line.strip(" \t\r\n>")
    return len(end) >= len(fence) and not end.strip(fence[0])


def _is_crowded(text: str) -> bool:
    """Whether a paragraph would nest too deep if its code were none; only code at the left margin is seen then."""
    return any(len(_ANY_DELIMITERS.findall(paragraph)) > MAX_CODE_DELIMITERS for paragraph in _PARAGRAPH.findall(text))


def _join(code: str) -> str:
    return _ACTIVE.sub(lambda found: found[0] + JOINER, code)


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
    return _PARAGRAPH.sub(lambda paragraph: _cap_paragraph(paragraph[0]), text)


def _cap_paragraph(paragraph: str) -> str:
    marks = [match.end() for match in _DELIMITERS.finditer(paragraph)]
    if len(marks) <= MAX_DELIMITERS:
        return paragraph
    cut = marks[MAX_DELIMITERS]
    rest = _DELIMITERS.sub(lambda match: f"&#{ord(match[0])};", paragraph[cut:])
    return paragraph[:cut] + rest
