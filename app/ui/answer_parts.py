"""A long answer in parts, so that the browser sets only its last part anew as it grows.

A part ends where Markdown has ended too: at an empty line outside code and formulas, before a line that begins
something new. What comes later never moves an end that was found.
"""

from __future__ import annotations

import re
from itertools import pairwise

# Characters after which a part may end, and after which it need not wait for the end of its paragraph.
LONG = 2_000
LONGEST = 12_000
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_FORMULA = re.compile(r"\$\$|\\\[|\\\]")
_WORD_END = re.compile(r"[ \n](?=\S)")
# Where a word may not end a part: in code, a table, emphasis or a link that is still open.
_MARKED = re.compile(r"[`|*_\[\]$<>\\]")


def parts_of(text: str) -> list[str]:
    """The text in its parts; together they are the text.

    For every `text` and `more`, all but the last of `parts_of(text)` begin `parts_of(text + more)`.
    """
    return [text[start:end] for start, end in pairwise([0, *_ends(text), len(text)])]


def _ends(text: str) -> list[int]:
    """Ends of all parts but the last."""
    ends: list[int] = []
    start = at = 0
    fence = ""
    formula = empty = False
    while at < len(text):
        end = text.find("\n", at) + 1
        if not end:  # a line that is still written; of a long one a part may be complete
            while not fence and not formula and (cut := _cut_words(text, start, at)):
                ends.append(cut)
                start = at = cut
            break
        line = text[at:end]
        if empty and not fence and not formula and at - start >= LONG and not line[0].isspace():
            ends.append(at)
            start = at
        while not fence and not formula and (cut := _cut_words(text, start, at, end)):
            ends.append(cut)
            start = at = cut
        fence, formula = _after(line, fence, formula)
        empty = not line.strip()
        at = end
    return ends


def _cut_words(text: str, start: int, line: int, end: int | None = None) -> int:
    """The end of a word, in a line of plain words that is too long; 0 if there is none."""
    if (len(text) if end is None else end) - line <= LONGEST:
        return 0
    found = _WORD_END.search(text, max(start, line) + LONG, line + LONGEST)
    if not found or _MARKED.search(text, line, found.end()):
        return 0
    return found.end()


def _after(line: str, fence: str, formula: bool) -> tuple[str, bool]:
    """The fence of the code that is open behind a line, and whether a formula is."""
    mark = _FENCE.match(line)
    if fence:
        closes = mark and mark[1].startswith(fence) and not line[mark.end() :].strip()
        return ("" if closes else fence), formula
    if mark and not formula:
        return mark[1], formula
    for sign in _FORMULA.findall(line):
        formula = sign == "\\[" or (sign == "$$" and not formula)
    return "", formula
