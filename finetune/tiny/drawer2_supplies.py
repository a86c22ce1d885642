"""What the second drawer draws with, and how it chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np
from PIL import Image

from finetune.tiny.case import Case
from finetune.tiny.drawer2 import COLOURS, SHAPES, Item
from finetune.tiny.scoring import Score

Drawn = TypeVar("Drawn")
# Eight colours and six shapes are what is mostly asked about; the rest stands in a few pictures.
COMMON_COLOURS, COMMON_SHAPES = COLOURS[:8], SHAPES[:6]
RARELY = 0.1


@dataclass(frozen=True, slots=True)
class Supplies:
    """Fonts and drawings.

    Attributes:
        fonts: files; empty takes the font that Pillow brings along.
        seen, unseen: drawings of things as (word, sprite), in styles that training knows, and in one it does not.
        chinese, phrases: word -> its Chinese word, and its answer ("a dog").
    """

    fonts: Sequence[Path] = ()
    seen: Sequence[tuple[str, np.ndarray]] = ()
    unseen: Sequence[tuple[str, np.ndarray]] = ()
    chinese: dict[str, str] = field(default_factory=dict)
    phrases: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cache: Path | None) -> Supplies:
        """From a cache of icons and fonts; without one, shapes and the built-in font are all there is.

        Raises:
            PackageError: icons or fonts cannot be fetched.
        """
        if cache is None:
            return cls()
        from finetune.tiny.fonts import held_out_fonts
        from finetune.tiny.icons import TRAINING_STYLES, load, load_seconds, things

        drawings = [
            (style, word, sprite)
            for loaded in (load(cache), load_seconds(cache))
            for style, sprites in loaded.items()
            for word, sprite in sprites.items()
        ]
        return cls(
            fonts=held_out_fonts(cache),
            seen=[(word, sprite) for style, word, sprite in drawings if style in TRAINING_STYLES],
            unseen=[(word, sprite) for style, word, sprite in drawings if style == "twemoji"],
            chinese={thing.word: thing.chinese for thing in things()},
            phrases={thing.word: thing.phrase for thing in things()},
        )

    def phrase(self, item: Item) -> str:
        """ "a red circle", "an owl"."""
        if item.sprite is not None:
            return self.phrases[item.name]
        return f"{'an' if item.phrase[0] in 'aeio' else 'a'} {item.phrase}"

    def thing(self, rng: Random, besides: Sequence[str] = ()) -> Item:
        """A thing in a seen style. The star stays out: among shapes it is one of them."""
        while True:
            word, sprite = rng.choice(self.seen)
            if word not in (*besides, "star"):
                return Item(word, sprite=sprite)

    def item(self, rng: Random, besides: Sequence[Item] = (), things: float = 0.0) -> Item:
        """A shape or, with the probability `things`, a thing, that shares neither colour nor name with others."""
        if self.seen and rng.random() < things:
            return self.thing(rng, [other.name for other in besides])
        colours = COLOURS if rng.random() < RARELY else COMMON_COLOURS
        shapes = SHAPES if rng.random() < RARELY else COMMON_SHAPES
        colour = rng.choice([c for c in colours if c not in {other.colour for other in besides}])
        shape = rng.choice([s for s in shapes if s not in {other.name for other in besides}])
        return Item(shape, colour)

    def items(self, rng: Random, count: int, things: float = 0.0) -> list[Item]:
        """Items of which no two share a colour or a name."""
        chosen: list[Item] = []
        for _ in range(count):
            chosen.append(self.item(rng, chosen, things))
        return chosen


def either(rng: Random, usual: Sequence[str], own: Sequence[str]) -> str:
    """A wording: in two of three cases a usual one, else one of the evaluation's own."""
    return rng.choice(usual if rng.random() < 0.67 or not own else own)


def ask(
    skill: str, image: Image.Image, question: str, score: Score, expected: str, group: str = "", tokens: int = 96
) -> Case:
    """A case of one question about one picture."""
    message = {"role": "user", "content": [image, question]}
    return Case(skill, [message], score, expected, group, max_new_tokens=tokens)


def article(text: str) -> str:
    """ "a" or "an" in front."""
    return f"{'an' if text[0] in 'aeio' else 'a'} {text}"


def plural(shape: str) -> str:
    """ "crosses", "circles"."""
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"
