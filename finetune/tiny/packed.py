"""Pictures that teach the vision tower: packed full, because every object on them is a lesson."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from finetune.tiny.canvas import CHARACTERS, Canvas, Labels, advance, font_of
from finetune.tiny.palette import NAMES, SHAPE_NAMES

# (rows, cols) of patches, as the processor gives them to pictures of these proportions; squares most often.
GRIDS = ((12, 12), (12, 12), (12, 12), (11, 13), (13, 11), (10, 14), (14, 10), (9, 16), (16, 9), (8, 18), (18, 8))
SCALES = (1.0, 1.0, 1.0, 1.5, 2.0)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MARKS = ".,:;!?-+*/=%()#&@'\"$"


@dataclass(slots=True)
class Supplies:
    """What is drawn with.

    Attributes:
        fonts: font files. sprites: style, word, RGBA picture. words: names of things in label order.
        lines: printed text to take words from. photographs: uint8 (H, W, 3) each, of what the model does not know.
    """

    fonts: list[str]
    sprites: dict[str, dict[str, np.ndarray]]
    words: list[str]
    lines: list[str]
    photographs: list[np.ndarray] = field(default_factory=list)


def canvas_for(grid: tuple[int, int], rng: Random, supplies: Supplies, scale: float | None = None) -> Canvas:
    """An empty picture."""
    scale = rng.choice(SCALES) if scale is None else scale
    return Canvas(grid, rng, scale, supplies.fonts, supplies.sprites, supplies.words)


def random_text(rng: Random, length: int, supplies: Supplies) -> str:
    """Digits, letters, a word or a mixture, of this length at most."""
    kind = rng.random()
    if kind < 0.3:
        return "".join(rng.choice("0123456789") for _ in range(length))
    if kind < 0.55:
        return "".join(rng.choice(LETTERS) for _ in range(length))
    if kind < 0.65:
        return "".join(rng.choice(LETTERS.lower()) for _ in range(length))
    if kind < 0.8:
        return "".join(rng.choice(LETTERS + "0123456789") for _ in range(length))
    if kind < 0.87:
        return "".join(rng.choice(CHARACTERS) for _ in range(length))
    word = rng.choice(rng.choice(supplies.lines).split())[:length]
    return rng.choice((word, word.upper(), word.capitalize()))


def packed(grid: tuple[int, int], rng: Random, supplies: Supplies) -> tuple[np.ndarray, Labels]:
    """A picture full of objects, uint8 (H, W, 3), and what covers its patches."""
    canvas = canvas_for(grid, rng, supplies)
    kind = rng.random()
    if kind < 0.27:
        page(canvas, rng, supplies)
    else:
        cells(canvas, rng, supplies, things=kind < 0.7)
    return canvas.finish(), canvas.labels


def cells(canvas: Canvas, rng: Random, supplies: Supplies, things: bool) -> None:
    """A grid of cells with something in nearly each."""
    across = rng.choice((1, 2, 2, 3, 3)) if things else rng.choice((1, 2, 3, 3, 4))
    step = min(canvas.width, canvas.height) / across
    cols, rows = max(1, int(canvas.width / step)), max(1, int(canvas.height / step))
    wide, high = canvas.width / cols, canvas.height / rows
    # Few of a kind are counted in most; in some, nearly all are of one or two kinds.
    few = not things and rng.random() < 0.7
    names = rng.sample(SHAPE_NAMES, rng.choice((1, 1, 2, 3))) if few else SHAPE_NAMES
    colours = tuple(rng.sample(NAMES, rng.choice((1, 2, 3)))) if few and rng.random() < 0.5 else None
    empty = rng.uniform(0, 0.7) if few else 0.06
    for row in range(rows):
        for col in range(cols):
            if rng.random() < empty:
                continue
            place = (col * wide, row * high, wide, high)
            draw = rng.random()
            if things and draw < 0.85:
                put_thing(canvas, rng, supplies, place)
            elif draw < (0.85 if few else 0.5):
                put_shape(canvas, rng, place, names, colours)
            else:
                put_text(canvas, rng, supplies, place)


def some_style(rng: Random, supplies: Supplies) -> str:
    """A style of drawing; each as often as it has drawings, so that all of them are seen equally often."""
    return rng.choices(*zip(*((style, len(drawn)) for style, drawn in supplies.sprites.items()), strict=True))[0]


def put_thing(canvas: Canvas, rng: Random, supplies: Supplies, place: tuple[float, float, float, float]) -> None:
    """A thing somewhere in a cell (x, y, width, height), or a bit over its edge."""
    x, y, wide, high = place
    style = some_style(rng, supplies)
    size = rng.uniform(0.6, 1.05) * min(wide, high)
    free = (wide - size, high - size)
    canvas.thing(
        rng.choice(list(supplies.sprites[style])),
        style,
        x + size / 2 + rng.uniform(-0.08, 1.08) * free[0],
        y + size / 2 + rng.uniform(-0.08, 1.08) * free[1],
        size,
    )


def put_shape(
    canvas: Canvas,
    rng: Random,
    place: tuple[float, float, float, float],
    names: Sequence[str] = SHAPE_NAMES,
    colours: tuple[str, ...] | None = None,
) -> None:
    """A shape of one of these names and colours somewhere in a cell (x, y, width, height)."""
    x, y, wide, high = place
    most = min(wide, high) / 2 - 1
    radius = rng.uniform(min(10, most), min(most, 80))
    chosen = canvas.choose_colour(colours)
    if chosen:
        at = x + rng.uniform(radius, wide - radius), y + rng.uniform(radius, high - radius)
        canvas.shape(rng.choice(names), *chosen, *at, radius)


def put_text(canvas: Canvas, rng: Random, supplies: Supplies, place: tuple[float, float, float, float]) -> None:
    """A short text in a cell (x, y, width, height), as large as fits or smaller."""
    x, y, wide, high = place
    text = random_text(rng, rng.choice((1, 2, 3, 3, 4, 5, 6)), supplies)
    font = rng.choice(canvas.fonts)
    length = font_of(font, 64).getlength(text) / 64
    most = min(high / 1.4, (wide - 2) / max(length, 0.3))
    size = rng.uniform(min(max(9, most * 0.5), most), most)
    chosen = canvas.choose_colour()
    if chosen and size >= 8:
        free = max(0.0, wide - length * size - 1), max(0.0, high - size * 1.35)
        canvas.text(text, font, size, *chosen, x + rng.uniform(0, free[0]), y + rng.uniform(0, free[1]))


def page(canvas: Canvas, rng: Random, supplies: Supplies) -> None:
    """Lines of small print from edge to edge."""
    font, size = rng.choice(canvas.fonts), rng.uniform(9, 22)
    chosen = canvas.choose_colour(("black", "white", "blue", "red", "grey") if rng.random() < 0.8 else None, 220)
    if not chosen:
        return
    leading = size * rng.uniform(1.15, 1.7)
    left, y = rng.uniform(-6, 12), rng.uniform(-8, 10)
    while y < canvas.height - size * 0.5:
        width = (canvas.width - left) / size
        canvas.text(_line(rng, supplies, font, width), font, size, *chosen, left, y)
        y += leading


def _line(rng: Random, supplies: Supplies, font: str, width: float) -> str:
    """A line of print that is about `width` letter sizes long."""
    if rng.random() < 0.3:
        words = [random_text(rng, rng.randint(1, 8), supplies) for _ in range(6)]
    else:
        words = rng.choice(supplies.lines).split()
        words = words[rng.randrange(len(words)) :] + rng.choice(supplies.lines).split()
    if rng.random() < 0.2:
        words = [word + rng.choice(MARKS) for word in words]
    text = words[0]
    length = sum(advance(font, character) for character in text)
    for word in words[1:]:
        length += sum(advance(font, character) for character in f" {word}")
        if length > width:
            break
        text += " " + word
    return text
