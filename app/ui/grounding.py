"""An answer with places in pictures, as the page shows it: names in the text, and below it room for the pictures.

The page's script (static/boxes.js) draws the shapes of the names into the pictures of the question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.box_owner import owners
from app.boxes import Mark, Piece, Shape, read_marks, without_open_mark
from app.messages import Image
from app.placement import marked_text
from app.turn import Turn
from app.ui.escape import escape, escape_prose
from app.ui.texts import Locale, say

COLOURS = 8  # of boxes.css
FIGURES = '<div class="box-figures"></div>'
_POSSIBLE = re.compile(r"<(?:box|quad|point)>")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures that an answer can mean.

    Attributes:
        question: the text of the question that has them.
        count: how many they are.
        back: how many questions before the one that is answered that was.
    """

    question: str
    count: int
    back: int


def pictures_of(turns: Sequence[Turn]) -> Pictures | None:
    """The pictures of the last of these questions that has any; None if none has."""
    for back, turn in enumerate(reversed(turns)):
        count = sum(isinstance(part, Image) for part in turn.user.content)
        if count:
            return Pictures(marked_text(turn.user.content), count, back)
    return None


def show_marks(answer: str, pictures: Pictures | None, locale: Locale, *, ended: bool = True) -> tuple[str, bool]:
    """Markdown of an answer, and whether it has marks; without a picture they stay the text that the model wrote.

    Args:
        ended: else a mark that is half written is left out.
    """
    if pictures and not ended:
        answer = without_open_mark(answer)
    if pictures is None or not _POSSIBLE.search(answer):
        return escape(answer), False
    pieces: list[Piece] = []
    escape(answer, prose=lambda text: _collect(text, pieces))
    found = [piece for piece in pieces if isinstance(piece, Mark)]
    if not found:
        return escape(answer), False
    writer = _Writer(owners(pieces, pictures.question, pictures.count), pictures.back, locale)
    return escape(answer, prose=writer.write), True


def _collect(text: str, pieces: list[Piece]) -> str:
    pieces += read_marks(text)
    return ""


class _Writer:
    """Writes prose, mark after mark: equal names have one colour, marks without a name are numbered."""

    def __init__(self, pictures: Sequence[int], back: int, locale: Locale) -> None:
        self._pictures = iter(pictures)
        self._back = back
        self._label: Callable[[int], str] = lambda number: say("box_unnamed", locale, number=number)
        self._names: dict[str, int] = {}
        self._unnamed = 0

    def write(self, text: str) -> str:
        """Prose with its marks."""
        pieces = read_marks(text)
        return "".join(escape_prose(piece) if isinstance(piece, str) else self._mark(piece) for piece in pieces)

    def _mark(self, mark: Mark) -> str:
        self._unnamed += not mark.name
        name = mark.name or self._label(self._unnamed)
        colour = self._names.setdefault(name, len(self._names)) % COLOURS
        # Classes, because the page's Markdown takes all attributes of our own away.
        where = [f"box-image-{next(self._pictures)}", f"box-back-{self._back}", *map(_shape_class, mark.shapes)]
        classes = " ".join(["box-name", f"box-colour-{colour}", *where])
        return f'<span class="{classes}" role="button" tabindex="0">{_plain(name)}</span>'


def _shape_class(shape: Shape) -> str:
    """Such as "box-at-quad-10-20-300-20-300-40-10-40"."""
    return "-".join(["box-at", shape.kind, *(f"{number:g}" for point in shape.points for number in point)])


def _plain(name: str) -> str:
    """A name that neither Markdown nor HTML reads anything into."""
    return _PUNCTUATION.sub(lambda found: f"&#{ord(found[0])};", name)
