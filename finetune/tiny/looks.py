"""Where one looks to answer a question, in pictures and earlier answers: before it begins, and while it is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import torch
from torch import Tensor

from app.media.slicing import SlicePlan
from finetune.tiny.canvas import Box
from finetune.tiny.lessons import Lesson
from finetune.tiny.shape import QUERIES
from finetune.tiny.wording import phrase

SIDE = int(QUERIES**0.5)
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
# A query belongs to an object if its place is inside, or this far outside, as a share of the distance of two queries.
NEAR = 0.25
# An object that a slice shows less of than this is not looked for there; and a letter, which half of is another one.
SHOWN = 0.3
LEGIBLE = 0.75
# Letters this wide, as a share of the distance of two queries, are read in the overview, where no border cuts them.
READABLE = 0.35
# Objects that are counted at most; and what the first token of all counts against one of them. Its part of the
# attention tells how many they are, whichever they are, as their own scores need not depend on it.
MOST = 8
RESTING = 4
# What one such look counts against another: it has to be met nearly exactly.
COUNTED_SHARE = 3.0


Way = Literal["ahead", "here", "back", "own"]


@dataclass(frozen=True, slots=True)
class Look:
    """One look.

    Attributes:
        boxes: what is seen, as shares of the picture's sides.
        picture: its number in the conversation.
        span: the characters of the answer that are read off there, [first, last); None: before the answer begins.
        counted: the answer is how many there are.
        close: it is too small for the overview of a picture that was cut.
    """

    boxes: tuple[Box, ...]
    picture: int = 0
    span: tuple[int, int] | None = None
    counted: bool = False
    close: bool = False


@dataclass(frozen=True, slots=True)
class Pointed:
    """A token that looks at others.

    Attributes:
        at: its number. share: what it counts.
        wanted: token -> weight: how much of the attention it should get if `counted`, else only that some goes there.
        way: "ahead" at what the next token says, "here" at what this one says, "back" at words of earlier answers, or
            "own", from a picture at its own number.
    """

    at: int
    wanted: dict[int, float]
    counted: bool = False
    share: float = 1.0
    way: Way = "ahead"


def looks_of(lesson: Lesson) -> tuple[Look, ...]:
    """What a lesson looks at."""
    picture, boxes = lesson.picture, tuple(thing.box for thing in lesson.about)
    if lesson.skill == "count":
        return (Look(boxes, picture, counted=True),)
    looks = [Look(boxes, picture)] if boxes else []
    if len(boxes) == 1:
        looks.append(Look(boxes, picture, (0, len(lesson.answer))))
    for start, thing in lesson.said:
        if thing.letters:
            close = fmean(right - left for left, _, right, _ in thing.letters) < READABLE / SIDE
            spans = enumerate(thing.letters, start)
            looks += [Look((box,), picture, (at, at + 1), close=close) for at, box in spans]
        else:
            looks.append(Look((thing.box,), picture, (start, start + len(phrase(thing)))))
    return tuple(looks)


def letters_of(lesson: Lesson) -> tuple[tuple[int, int], ...]:
    """The characters of the answer that are read off the picture, [first, last) of each line."""
    return tuple((start, start + len(thing.name)) for start, thing in lesson.said if thing.letters)


def regions(plan: SlicePlan) -> list[Box]:
    """What each slice shows of the picture, in their order."""
    if plan.grid is None:
        return [WHOLE]
    cols, rows = plan.grid
    cells = [(x / cols, y / rows, (x + 1) / cols, (y + 1) / rows) for y in range(rows) for x in range(cols)]
    return [WHOLE, *cells]


def wanted(look: Look, slices: Sequence[tuple[int, Box]]) -> dict[int, float]:
    """Image tokens that show it, with their weights as `Pointed` has them; none if it is nowhere to be seen.

    Args:
        slices: (first token, what it shows) of each slice of the picture.
    """
    if look.counted:
        return _counted(look.boxes, slices[0][0])
    if look.close and len(slices) > 1:
        # A letter that a border cuts is read in the overview.
        return _shown(look.boxes, slices[1:], LEGIBLE) or _shown(look.boxes, slices[:1], SHOWN)
    return _shown(look.boxes, slices, SHOWN)


def _shown(boxes: Sequence[Box], slices: Sequence[tuple[int, Box]], least: float) -> dict[int, float]:
    """The tokens that show this share of a box at least."""
    found: dict[int, float] = {}
    for start, region in slices:
        inside = [box for box in (_within(box, region, least) for box in boxes) if box]
        if inside:
            found |= {start + number: 1.0 for number in covered(inside).nonzero().flatten().tolist()}
    return found


def _counted(boxes: Sequence[Box], start: int) -> dict[int, float]:
    """An equal part of the attention for the middle of each object, some of it for the first token of all."""
    found: dict[int, float] = defaultdict(float)
    part = 1 / (min(MOST, len(boxes)) + RESTING)
    for left, top, right, bottom in boxes[:MOST]:
        found[start + _step((top + bottom) / 2) * SIDE + _step((left + right) / 2)] += part
    found[0] += RESTING * part
    return dict(found)


def _within(box: Box, region: Box, least: float) -> Box | None:
    """A box as shares of a region's sides; None if too little of it lies there."""
    left, top, right, bottom = region
    wide, high = right - left, bottom - top
    x0, y0, x1, y1 = ((box[0] - left) / wide, (box[1] - top) / high, (box[2] - left) / wide, (box[3] - top) / high)
    clipped = max(0.0, x0), max(0.0, y0), min(1.0, x1), min(1.0, y1)
    across, down = max(0.0, clipped[2] - clipped[0]), max(0.0, clipped[3] - clipped[1])
    return clipped if across * down >= least * (x1 - x0) * (y1 - y0) and across and down else None


def _step(share: float) -> int:
    return min(SIDE - 1, int(share * SIDE))


def covered(boxes: Sequence[Box]) -> Tensor:
    """Which queries see something in these boxes, float32 (queries,) of zeros and ones; of each box one at least."""
    middles = (torch.arange(SIDE) + 0.5) / SIDE
    seen = torch.zeros(SIDE, SIDE)
    for left, top, right, bottom in boxes:
        across, down = ((middles > low - NEAR / SIDE) & (middles < high + NEAR / SIDE) for low, high in
                        ((left, right), (top, bottom)))  # fmt: skip
        seen[down[:, None] & across] = 1
        seen[_step((top + bottom) / 2), _step((left + right) / 2)] = 1
    return seen.flatten()


def pointed(
    looks: Sequence[Look], slices: Sequence[Sequence[tuple[int, Box]]], spans: Sequence[tuple[int, int]], first: int
) -> list[Pointed]:
    """The tokens of one answer, and the one before it, with what they look at.

    Each looks at what the next one says; before that, so that it is known where to go on, at what it says itself.

    Args:
        slices: of each picture of the conversation, as `wanted` takes them.
        spans: characters of the answer that each of its tokens stands for. first: the first of these tokens.
    """
    before = [look for look in looks if look.span is None]
    places = {look: wanted(look, slices[look.picture]) for look in looks}
    found = [
        Pointed(first - 1, places[look], look.counted, COUNTED_SHARE if look.counted else 1.0)
        for look in before
        if places[look]
    ]
    read: list[tuple[int, dict[int, float]]] = []
    for number, (start, stop) in enumerate(spans):
        seen: dict[int, float] = {}
        for look in looks:
            if look.span and look.span[0] < stop and start < look.span[1]:
                seen |= places[look]
        if seen:
            read.append((first + number, seen))
    share = len(read) ** -0.5 if read else 0.0
    found += [Pointed(at - 1, seen, share=share) for at, seen in read if at > first or not before]
    return found + [Pointed(at, seen, share=share, way="here") for at, seen in read]


def recalled(answers: Sequence[tuple[int, int]]) -> list[Pointed]:
    """The tokens of the last answer, and the one before it: each looks at the token of the earlier ones in its place.

    Args:
        answers: tokens [first, last) of each, in a conversation whose answers all have the same form.
    """
    *earlier, (first, last) = answers
    found = []
    for number in range(last - first + 1):
        seen = {start + min(number, stop - start): 1.0 for start, stop in earlier}
        found.append(Pointed(first + number - 1, seen, share=(last - first + 1) ** -0.5, way="back"))
    return found if earlier else []


def own(shown: Sequence[tuple[int, int]]) -> list[Pointed]:
    """Tokens of pictures, each with the token of the picture's number: what is seen there is in that picture.

    Args:
        shown: (token, token of the number of its picture).
    """
    return [Pointed(at, {number: 1.0}, share=0.5 * len(shown) ** -0.5, way="own") for at, number in shown]
