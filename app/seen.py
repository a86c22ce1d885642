"""What a model was given for a conversation: every picture as it was cut, and the prompt token by token."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


@dataclass(frozen=True, slots=True)
class SeenSlice:
    """One slice of a picture.

    Attributes:
        box: (left, top, right, bottom) of what it shows, as shares of the picture from 0 to 1.
        patches: (rows, columns) of patches that the vision tower gets.
        span: half-open positions of its features in the prompt.
    """

    box: tuple[float, float, float, float]
    patches: tuple[int, int]
    span: tuple[int, int]

    @property
    def tokens(self) -> int:
        """Positions that its features take."""
        return self.span[1] - self.span[0]


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """A picture as it was cut.

    Attributes:
        picture: RGB, upright, before it is cut.
        kind: an image, or a frame of a video.
        message: number of the message it stands in, from 0, of those that were given.
        clip: number of its video in the conversation, from 1; 0 for an image.
        number: of the image in the conversation, or of the frame in its video, from 1.
        time: of a frame in its video, seconds.
        grid: (columns, rows) of the cells; None if the overview is all.
        slices: the overview, then the cells row by row.
        patch: side of a patch in pixels.
    """

    picture: PILImage
    kind: Literal["image", "frame"]
    message: int
    clip: int
    number: int
    time: float | None
    grid: tuple[int, int] | None
    slices: tuple[SeenSlice, ...]
    patch: int

    @property
    def tokens(self) -> int:
        """Of all its slices."""
        return sum(one.tokens for one in self.slices)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the prompt.

    Attributes:
        kind: text, one special token, or the places of a slice's features.
        text: as the tokenizer writes it; empty for features.
        tokens: how many.
    """

    kind: Literal["text", "special", "vision"]
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a model was given.

    Attributes:
        ids: token ids of the prompt, with places for the features.
        pictures: in the order of the prompt.
        pieces: the prompt in runs that make it up completely.
        dropped: messages left out at the beginning because they did not fit.
        context: tokens of prompt and answer together.
    """

    ids: tuple[int, ...]
    pictures: tuple[SeenPicture, ...]
    pieces: tuple[Piece, ...]
    dropped: int
    context: int

    @property
    def image_bound(self) -> list[tuple[int, int]]:
        """Half-open positions of the features of each slice."""
        return [one.span for picture in self.pictures for one in picture.slices]

    @property
    def tgt_sizes(self) -> list[tuple[int, int]]:
        """(rows, columns) of patches of each slice."""
        return [one.patches for picture in self.pictures for one in picture.slices]

    @property
    def vision_tokens(self) -> int:
        """Positions filled by features."""
        return sum(picture.tokens for picture in self.pictures)


def boxes(grid: tuple[int, int] | None) -> list[tuple[float, float, float, float]]:
    """What the slices of a picture show, as shares of it: all for the overview, then the cells row by row."""
    if grid is None:
        return [(0.0, 0.0, 1.0, 1.0)]
    columns, rows = grid
    cells = [
        (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
        for row in range(rows)
        for column in range(columns)
    ]
    return [(0.0, 0.0, 1.0, 1.0), *cells]


def cuts(ids: Sequence[int], spans: Sequence[tuple[int, int]], special: frozenset[int]) -> list[tuple[int, int]]:
    """Half-open runs that make up a prompt: features of a slice, single special tokens, and the text between.

    Args:
        spans: of the features, ascending.
        special: ids of special tokens.
    """
    found: list[tuple[int, int]] = []
    at, waiting = 0, deque(spans)
    while at < len(ids):
        if waiting and waiting[0][0] == at:
            found.append(waiting.popleft())
        else:
            limit, end = waiting[0][0] if waiting else len(ids), at + 1
            while ids[at] not in special and end < limit and ids[end] not in special:
                end += 1
            found.append((at, end))
        at = found[-1][1]
    return found
