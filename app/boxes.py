"""Places in pictures that a model wrote: `<ref>name</ref><box>x1 y1 x2 y2</box>`, in thousandths of the picture.

`<quad>` has four corners, `<point>` one; a name may have several shapes, a shape no name. Markup that is broken is
ordinary text. Pure: text in, pieces out, and the pieces' sources together are the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["box", "quad", "point"]
Point: TypeAlias = tuple[float, float]

SIDE = 1000  # coordinates go from 0 to this
LONGEST_NAME = 200  # characters
LONGEST_NUMBERS = 400  # characters between two tags
CORNERS = {"box": 2, "quad": 4, "point": 1}

_NAME = rf"<ref>(?P<name>(?:(?!</?ref>)[^\n]){{1,{LONGEST_NAME}}})</ref>[ \t]?"
_REF = re.compile(r"<ref>((?:(?!</?ref>).)*)</ref>", re.DOTALL)
_INSIDE = rf"[^<>]{{1,{LONGEST_NUMBERS}}}"
_SHAPE = rf"<(?:box>{_INSIDE}</box|quad>{_INSIDE}</quad|point>{_INSIDE}</point)>"
_MARK = re.compile(rf"(?:{_NAME})?(?P<shapes>{_SHAPE}(?:[ \t]?{_SHAPE})*)")
_ONE = re.compile(r"<(box|quad|point)>([^<>]*)</\1>")
_NUMBERS = re.compile(r"[\s(\[]*\d{1,4}(?:\.\d{1,6})?(?:[\s,;()\[\]]+\d{1,4}(?:\.\d{1,6})?)*[\s)\]]*")
# What may yet become a mark: an open name, a name that waits for its shape, open numbers, the beginning of a tag.
_OPEN = re.compile(
    rf"(?:<ref>(?:(?!</?ref>)[^\n]){{0,{LONGEST_NAME}}}(?:</ref>[ \t]?)?)?"
    rf"(?:<(?:box|quad|point)>[^<>]{{0,{LONGEST_NUMBERS}}})?(?:</?[a-z]{{0,5}})?\Z"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A place: corners (x, y) in thousandths of the picture.

    Attributes:
        points: of a box the upper left and the lower right corner, of a quad all four, of a point the one.
    """

    kind: Kind
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A name with its shapes; the name is empty where the model gave none.

    Attributes:
        source: the text it was read from.
    """

    name: str
    shapes: tuple[Shape, ...]
    source: str


Piece: TypeAlias = str | Mark


def read_marks(text: str) -> list[Piece]:
    """Text and marks in their order; what is no whole and valid mark is text."""
    pieces: list[Piece] = []
    start = 0
    for match in _MARK.finditer(text):
        shapes = _shapes(match["shapes"])
        if not shapes:
            continue
        if match.start() > start:
            pieces.append(text[start : match.start()])
        pieces.append(Mark((match["name"] or "").strip(), shapes, match[0]))
        start = match.end()
    if start < len(text):
        pieces.append(text[start:])
    return pieces


def mark_at(text: str, start: int) -> Mark | None:
    """The whole and valid mark that begins there, if one does."""
    match = _MARK.match(text, start)
    shapes = _shapes(match["shapes"]) if match else ()
    return Mark((match["name"] or "").strip(), shapes, match[0]) if match and shapes else None


def plain_words(text: str) -> str:
    """The text without markup: of a mark its name, of a name without a shape the name too."""
    words = ""
    for piece in read_marks(text):
        words += piece if isinstance(piece, str) else piece.name
        if isinstance(piece, Mark) and not piece.name:
            words = words.rstrip()  # else a gap would be left before the next word or the end of the sentence
    return _REF.sub(r"\1", words)


def without_open_mark(text: str) -> str:
    """A text that still grows, without a tag at its end that is not complete yet."""
    # The longest that can be open; what is before it is never looked at.
    tail = len(text) - 2 * LONGEST_NAME - LONGEST_NUMBERS
    for match in re.finditer("<", text[max(0, tail) :]):
        at = max(0, tail) + match.start()
        if _OPEN.match(text, at):
            return text[:at]
    return text


def _shapes(text: str) -> tuple[Shape, ...]:
    """The shapes of some tags; none if any of them is invalid."""
    shapes: list[Shape] = []
    for kind, numbers in _ONE.findall(text):
        found = _read(kind, numbers)
        if not found:
            return ()
        shapes += found
    return tuple(shapes)


def _read(kind: Kind, text: str) -> list[Shape]:
    """The shapes between two tags: one, or several of the same kind; none if the numbers are not such."""
    if not _NUMBERS.fullmatch(text):
        return []
    numbers = [float(number) for number in re.findall(r"[\d.]+", text)]
    size = 2 * CORNERS[kind]
    if kind == "box" and len(numbers) == 2:  # some write a point so
        kind, size = "point", 2
    if len(numbers) % size or max(numbers) > SIDE:
        return []
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    each = size // 2
    return [_shape(kind, points[at : at + each]) for at in range(0, len(points), each)]


def _shape(kind: Kind, points: Sequence[Point]) -> Shape:
    if kind != "box":
        return Shape(kind, tuple(points))
    (x1, y1), (x2, y2) = points
    return Shape(kind, ((min(x1, x2), min(y1, y2)), (max(x1, x2), max(y1, y2))))
