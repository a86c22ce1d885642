"""Scenes of the second drawer: where things stand, pages of text, clips, and what is no scene at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageFilter, ImageFont

from finetune.tiny.drawer2 import Canvas, Item, sample_colour, sample_size

Spot = tuple[tuple[float, float], float]
PHOTOGRAPHS = {"gradio": "media_assets/images", "matplotlib": "mpl-data/sample_data"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and what stands in it, boxes set."""

    image: Image.Image
    items: tuple[Item, ...]

    def thousandths(self, item: Item) -> tuple[float, float, float, float]:
        """The item's box in thousandths of width and height."""
        x1, y1, x2, y2 = item.box
        width, height = self.image.size
        return 1000 * x1 / width, 1000 * y1 / height, 1000 * x2 / width, 1000 * y2 / height


def draw(rng: Random, items: Sequence[Item], size: tuple[int, int], spots: Sequence[Spot]) -> Scene:
    """Draw each item at its spot."""
    colours = [sample_colour(item.colour, rng) if item.colour else _mean(item.sprite) for item in items]
    canvas = Canvas(rng, size, colours)
    placed = []
    for item, colour, (centre, radius) in zip(items, colours, spots, strict=True):
        if item.sprite is None:
            box = canvas.shape(item.name, colour, centre, radius)
        else:
            box = canvas.thing(item.sprite, centre, radius)
        x1, y1, x2, y2 = box
        placed.append(replace(item, box=(max(0, x1), max(0, y1), min(size[0], x2), min(size[1], y2))))
    return Scene(canvas.finish(), tuple(placed))


def _mean(sprite: np.ndarray | None) -> tuple[float, float, float]:
    if sprite is None:
        return 128.0, 128.0, 128.0
    red, green, blue = (float(value) for value in sprite[sprite[..., 3] > 128][:, :3].mean(0))
    return red, green, blue


def spread(rng: Random, count: int, size: tuple[int, int]) -> list[Spot]:
    """Spots anywhere, apart from each other and inside the picture."""
    width, height, short = *size, min(size)
    limits = {1: (0.16, 0.42), 2: (0.12, 0.23), 3: (0.1, 0.18)}.get(count, (0.08, 0.14))
    while True:
        spots: list[Spot] = []
        for _ in range(40 * count):
            radius = short * rng.uniform(*limits)
            edge = radius * 1.05
            centre = rng.uniform(edge, width - edge), rng.uniform(edge, height - edge)
            if all(math.dist(centre, other) > 1.2 * (radius + taken) for other, taken in spots):
                spots.append((centre, radius))
            if len(spots) == count:
                return spots


def in_line(rng: Random, count: int, size: tuple[int, int], upright: bool = False) -> list[Spot]:
    """Spots side by side from left to right, or from top to bottom."""
    along, across = (size[1], size[0]) if upright else size
    step = along / count
    spots: list[Spot] = []
    for place in range(count):
        radius = min(step * rng.uniform(0.26, 0.4), across * rng.uniform(0.18, 0.36))
        main = (place + 0.5) * step + rng.uniform(-0.06, 0.06) * step
        other = across * rng.uniform(0.44, 0.56)
        spots.append(((other, main) if upright else (main, other), radius))
    return spots


def in_cells(rng: Random, cells: Sequence[tuple[int, int]], size: tuple[int, int]) -> list[Spot]:
    """Spots in cells (column, row) of a grid of three by three."""
    width, height = size[0] / 3, size[1] / 3
    return [
        (
            ((column + rng.uniform(0.42, 0.58)) * width, (row + rng.uniform(0.42, 0.58)) * height),
            min(width, height) * rng.uniform(0.26, 0.42),
        )
        for column, row in cells
    ]


def clip(rng: Random, colour: str, move: tuple[int, int]) -> list[Image.Image]:
    """8 to 16 frames of a ball that crosses the picture; `move` is (right, down), each -1, 0 or 1."""
    size = width, height = sample_size(rng, longest=480)
    paint = sample_colour(colour, rng)
    count, radius = rng.randint(8, 16), min(size) * rng.uniform(0.08, 0.18)
    still = Canvas(rng, size, [paint])
    still.shadowed = False
    share = np.linspace(-0.5, 0.5, count) * rng.uniform(0.6, 1.0)
    off = rng.uniform(-0.2, 0.2)
    background, frames = still.pixels.copy(), []
    for moment in share:
        x = moment * move[0] if move[0] else off
        y = moment * move[1] if move[1] else off
        still.pixels = background.copy()
        still.shape(
            "circle", paint, (width / 2 + x * (width - 2 * radius), height / 2 + y * (height - 2 * radius)), radius
        )
        frames.append(Image.fromarray(still.pixels.clip(0, 255).astype(np.uint8)))
    return frames


def font(rng: Random, files: Sequence[Path], size: int) -> ImageFont.FreeTypeFont:
    """One of the font files in a size in pixels; without files the font that Pillow brings along."""
    if files:
        return _truetype(rng.choice(files), size)
    built_in = ImageFont.load_default(size)
    assert isinstance(built_in, ImageFont.FreeTypeFont)
    return built_in


@lru_cache(maxsize=256)
def _truetype(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), size)


def label(rng: Random, text: str, files: Sequence[Path]) -> Image.Image:
    """A picture of one short text, a tenth of its height or more."""
    size = width, height = sample_size(rng)
    high = int(min(height * rng.uniform(0.16, 0.45), width * 0.85 / (0.68 * max(1, len(text)))))
    drawn = font(rng, files, max(12, high))
    colour = sample_colour(rng.choice(["black", "black", "blue", "red", "green", "white", "purple", "brown"]), rng)
    canvas = Canvas(rng, size, [colour], apart=230)
    left, top = width - drawn.getlength(text), height - drawn.size * 1.25
    canvas.text(text, (left * rng.uniform(0.2, 0.8), top * rng.uniform(0.15, 0.85)), drawn, colour)
    return canvas.finish()


def page(rng: Random, words: Sequence[str], files: Sequence[Path]) -> tuple[Image.Image, str]:
    """A page or screenshot of these words, and its lines."""
    size, total = rng.randint(15, 26), len(" ".join(words))
    drawn = font(rng, files, size)
    wide = max(max(map(drawn.getlength, words)), size * 0.5 * math.sqrt(rng.uniform(0.9, 1.7) * total * 2.7))
    lines = _wrap(words, wide, drawn)
    spacing, margin = size * rng.uniform(1.25, 1.6), rng.randint(size // 2, 2 * size)
    width = max(160, round(max(map(drawn.getlength, lines)) + 2 * margin))
    height = max(round(width / 1.7), 160, round(spacing * len(lines) + 2 * margin))
    dark = rng.random() < 0.2
    ink = sample_colour("white" if dark else "black", rng)
    canvas = Canvas(rng, (width, height), [ink], apart=400, plain=rng.random() < 0.7)
    if not dark and rng.random() < 0.6:
        canvas.pixels[:] = rng.randint(244, 255)
    for row, line in enumerate(lines):
        canvas.text(line, (margin, margin + row * spacing), drawn, ink)
    return canvas.finish(), "\n".join(lines)


def _wrap(words: Sequence[str], width: float, drawn: ImageFont.FreeTypeFont) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        longer = f"{lines[-1]} {word}"
        if drawn.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def noise(rng: Random) -> Image.Image:
    """Random pixels, fine or coarse."""
    size = width, height = sample_size(rng, longest=500)
    source, grain = np.random.default_rng(rng.getrandbits(32)), rng.choice([1, 1, 2, 4])
    values = source.integers(0, 256, (height // grain + 1, width // grain + 1, 3), dtype=np.uint8)
    if rng.random() < 0.3:
        values[:] = values[..., :1]
    return Image.fromarray(values).resize(size, Image.Resampling.NEAREST)


def photo(rng: Random) -> Image.Image:
    """Part of a photograph that an installed package brings along, or a landscape of random hills."""
    files = _photographs()
    if not files or rng.random() < 0.3:
        return _landscape(rng)
    image = Image.open(rng.choice(files)).convert("RGB")
    share = rng.uniform(0.6, 1.0)
    width, height = (round(side * share) for side in image.size)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


@lru_cache(maxsize=1)
def _photographs() -> list[Path]:
    """Photographs of a cheetah, a tower, a toy and a person. The lion stays out: lions are on the list of things."""
    folders = []
    for package, inside in PHOTOGRAPHS.items():
        spec = find_spec(package)
        folders += [Path(spec.origin).parent / inside] if spec and spec.origin else []
    return sorted(file for folder in folders for file in folder.glob("*.jp*g") if file.stem != "lion")


def _landscape(rng: Random) -> Image.Image:
    """Sky, ridges behind each other, grain."""
    width, height = sample_size(rng, longest=600)
    source = np.random.default_rng(rng.getrandbits(32))
    rows = np.linspace(0, 1, height)[:, None, None]
    pixels = (1 - rows) * source.uniform(120, 220, 3) + rows * source.uniform(170, 255, 3) + np.zeros((1, width, 1))
    columns = np.arange(width)
    for ridge in range(rng.randint(3, 6)):
        waves = sum(
            source.normal(0, 1 / k) * np.sin(2 * np.pi * (k * columns / width + source.random())) for k in range(1, 25)
        )
        top = height * (0.3 + 0.12 * ridge) + waves * height * 0.06
        below = np.arange(height)[:, None] > top
        texture = source.normal(0, 22, (height, width, 1)) + source.normal(0, 8, (height, width, 3))
        pixels = np.where(below[..., None], source.uniform(20, 150, 3) + texture, pixels)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))
