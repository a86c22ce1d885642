"""Which picture a box belongs to: models do not say it in the tag.

The rule, in this order, for the pictures of one question, numbered from 1:

1. the picture that the answer named last before the box: "image 2", "[image 2]", "the second picture", "第二张图";
2. else the only one that the question names;
3. else, where the answer has as many lines with boxes as there are pictures, the first line's are in the first, and
   so on;
4. else the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.boxes import Mark, Piece

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_CHINESE = "一二三四五六七八九十"
_PICTURE = r"(?:image|picture|photo|photograph)"
_NAMED = re.compile(
    rf"\b{_PICTURE}\s*(?:number|no\.?|#)?\s*(?P<number>\d{{1,3}})\b"
    rf"|\b(?P<ordinal>{'|'.join(_ORDINALS)})\s+{_PICTURE}\b"
    rf"|\b(?P<nth>\d{{1,3}})(?:st|nd|rd|th)\s+{_PICTURE}\b"
    rf"|第\s*(?P<chinese>[{_CHINESE}]|\d{{1,3}})\s*[张幅个]?\s*(?:图|照片)"
    r"|(?:图片|图像|照片|图)\s*(?P<number_zh>\d{1,3})",
    re.IGNORECASE,
)


def owners(pieces: Sequence[Piece], question: str, pictures: int) -> list[int]:
    """For each mark among the pieces of an answer, the number of its picture, from 1.

    Args:
        question: with a mark such as [image 2] where a picture stands in the text.
        pictures: how many the question has, at least 1.
    """
    start = _default(pieces, question, pictures)
    found: list[int] = []
    named: int | None = None
    for piece in pieces:
        if isinstance(piece, str):
            named = next(reversed(list(_named(piece, pictures))), named)
        else:
            found.append(start[len(found)] if named is None else named)
    return found


def _default(pieces: Sequence[Piece], question: str, pictures: int) -> list[int]:
    """The pictures of marks before which the answer named none."""
    asked = set(_named(question, pictures))
    lines = _lines(pieces)
    if len(asked) == 1:
        return [asked.pop()] * len(lines)
    distinct = list(dict.fromkeys(lines))
    if len(distinct) == pictures:
        return [distinct.index(line) + 1 for line in lines]
    return [1] * len(lines)


def _lines(pieces: Sequence[Piece]) -> list[int]:
    """In which line of the answer each mark stands."""
    line, found = 0, []
    for piece in pieces:
        if isinstance(piece, Mark):
            found.append(line)
        else:
            line += piece.count("\n")
    return found


def _named(text: str, pictures: int) -> Iterator[int]:
    """Numbers of the pictures that a text names, in its order."""
    for match in _NAMED.finditer(text):
        number = _number(match)
        if 1 <= number <= pictures:
            yield number


def _number(match: re.Match[str]) -> int:
    if match["ordinal"]:
        return _ORDINALS.index(match["ordinal"].lower()) + 1
    digits = match["number"] or match["nth"] or match["chinese"] or match["number_zh"]
    return int(digits) if digits.isdecimal() else _CHINESE.index(digits) + 1
