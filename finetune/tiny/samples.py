"""Conversations about drawn pictures as token ids, labels and slices, written as the model's processor writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from app.families.minicpm_v_2_6 import LAYOUT, image_text
from app.media.patches import cut_slices
from app.media.slicing import SlicePlan, plan_slices
from finetune.tiny import tokens
from finetune.tiny.canvas import LETTERS, Box
from finetune.tiny.looks import Look, Pointed, own, pointed, recalled, regions
from finetune.tiny.shape import QUERIES, SLICE_SIDE

SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
OPENING = "<|im_start|>assistant\n"


@dataclass(slots=True)
class Picture:
    """A picture cut for the tower.

    Attributes:
        pieces: uint8 (H, W, 3) each, the overview first.
        plan: how it was cut.
        labels: int64 (labels, N), what covers the patches of the overview; None if not known.
        image: as it was drawn; None if that is the overview.
    """

    pieces: list[np.ndarray]
    plan: SlicePlan
    labels: np.ndarray | None = None
    image: Image.Image | None = None


@dataclass(slots=True)
class Exchange:
    """One question and its answer.

    Attributes:
        pictures: go before the question. learn: whether the answer counts in the loss.
        looks: where in the conversation's pictures one looks to answer.
        as_before: whether the answer has the form of those before it.
        spelled: characters of the answer, [first, last), that are a token each: what is read is read letter by letter.
    """

    question: str
    answer: str
    pictures: list[Picture] = field(default_factory=list)
    learn: bool = True
    looks: tuple[Look, ...] = ()
    as_before: bool = False
    spelled: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Sample:
    """A conversation as the model takes it.

    Attributes:
        ids: token ids.
        labels: the same, -100 where nothing is learned.
        places: half-open (start, end) of the features of each slice.
        pieces: the slices, uint8 (H, W, 3) each.
        dense: int64 (labels, N), what covers the only picture's patches; None if there are several or it is not known.
        pointed: the tokens that are told where to look.
        numbered: tokens of a line that is read out, as (token, letters of it that are said with it); 0 before it.
    """

    ids: list[int]
    labels: list[int]
    places: list[tuple[int, int]]
    pieces: list[np.ndarray]
    dense: np.ndarray | None
    pointed: list[Pointed] = field(default_factory=list)
    numbered: list[tuple[int, int]] = field(default_factory=list)


def cut(image: Image.Image, most: int) -> Picture:
    """A picture cut into an overview and at most `most` cells, by the application's own slicing."""
    plan = plan_slices(image.size, most, SLICE_SIDE)
    return Picture([np.asarray(piece) for piece in cut_slices(image, plan)], plan, image=image)


def whole(pixels: np.ndarray, labels: np.ndarray | None = None) -> Picture:
    """A picture that already has the size of its overview."""
    height, width = pixels.shape[:2]
    return Picture([pixels], SlicePlan((width, height), patch_size=14), labels)


Written = TypeVar("Written", covariant=True)


class Writer(Protocol[Written]):
    """What turns conversations into samples."""

    def write(self, exchanges: Sequence[Exchange], numbered: bool = True) -> Written:
        """One conversation; `numbered` gives the pictures their ids in the prompt."""
        ...


class TokenWriter:
    """Writes conversations with a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.opening = tokenizer.encode(OPENING).ids
        self.end = tokens.id_of(tokenizer, "<|im_end|>")

    def write(self, exchanges: Sequence[Exchange], numbered: bool = True) -> Sample:
        """Ids, labels and slices of a conversation; `numbered` gives the pictures their ids in the prompt."""
        text, index, begins, spelled = SYSTEM, 0, [], []
        for exchange in exchanges:
            parts = []
            for picture in exchange.pictures:
                parts.append(image_text(picture.plan.grid, QUERIES, index if numbered else None))
                index += 1
            parts += [exchange.question] if exchange.question else []
            text += f"<|im_start|>user\n{chr(10).join(parts)}<|im_end|>\n{OPENING}"
            begins.append(len(text))
            spelled += [(begins[-1] + first, begins[-1] + last) for first, last in exchange.spelled]
            text += f"{exchange.answer}<|im_end|>\n"
        ids, offsets = self._encode(text, spelled)
        pictures = [picture for exchange in exchanges for picture in exchange.pictures]
        places, _ = LAYOUT.bounds(ids, partial(tokens.id_of, self.tokenizer))
        pieces = [piece for picture in pictures for piece in picture.pieces]
        dense = pictures[0].labels if len(pictures) == 1 else None
        labels, answers = self._labels(ids, exchanges)
        rest = iter(start for start, _ in places)
        slices = [[(next(rest), region) for region in regions(picture.plan)] for picture in pictures]
        told: list[Pointed] = []
        for number, (exchange, begin) in enumerate(zip(exchanges, begins, strict=True)):
            start, stop = answers[number]
            spans = [(first - begin, last - begin) for first, last in offsets[start:stop]]
            told += pointed(exchange.looks, slices, spans, start)
            told += recalled(answers[: number + 1]) if exchange.as_before else []
        if numbered and len(slices) > 1:
            told += self._whose(ids, slices, told)
        return Sample(ids, labels, places, pieces, dense, told, _numbered(offsets, spelled))

    def _encode(self, text: str, spelled: Sequence[tuple[int, int]]) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids, and the characters that each stands for; those within `spelled` are tokens of their own."""
        borders = {0, len(text)} | {at for first, last in spelled for at in range(first, last + 1)}
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for first, last in pairwise(sorted(borders)):
            encoding = self.tokenizer.encode(text[first:last])
            ids += encoding.ids
            offsets += [(first + start, first + stop) for start, stop in encoding.offsets]
        return ids, offsets

    def _whose(
        self, ids: list[int], slices: Sequence[Sequence[tuple[int, Box]]], told: Sequence[Pointed]
    ) -> list[Pointed]:
        """Of what is looked at in several pictures, in which one each token lies."""
        opening = tokens.id_of(self.tokenizer, "<image_id>")
        seen = {token for one in told if one.way == "ahead" for token in one.wanted}
        shown = []
        for parts in slices:
            number = max(at for at in range(parts[0][0]) if ids[at] == opening) + 1
            shown += [(at, number) for start, _ in parts for at in range(start, start + QUERIES) if at in seen]
        return own(shown)

    def _labels(self, ids: list[int], exchanges: Sequence[Exchange]) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of answers that are learned, with the token that ends each; and the tokens [first, last) of each."""
        labels, answers = [-100] * len(ids), []
        at, size = 0, len(self.opening)
        for exchange in exchanges:
            while ids[at : at + size] != self.opening:
                at += 1
            at += size
            stop = ids.index(self.end, at)
            answers.append((at, stop))
            if exchange.learn:
                labels[at : stop + 1] = ids[at : stop + 1]
            at = stop
        return labels, answers


def _numbered(offsets: Sequence[tuple[int, int]], lines: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The tokens of lines that are a token a letter, and the one before each; letters behind `LETTERS` are left out.

    Args:
        offsets: characters that each token stands for. lines: characters of each, [first, last).
    """
    at = {start: token for token, (start, _) in enumerate(offsets)}
    return [
        (at[first] - 1 + number, number) for first, last in lines for number in range(min(LETTERS, last - first) + 1)
    ]
