"""A second drawer, for evaluation only: what training pictures share with these is the subject, not the code.

Shapes are polygons filled at four times the size, on backgrounds and in fonts that training never draws with.
"""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

RGB: TypeAlias = tuple[float, float, float]
Pixels: TypeAlias = tuple[float, float, float, float]
OVERSAMPLING = 4

# Hue in degrees, saturation, value: from, to.
_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((350, 366), (0.75, 1.0), (0.65, 1.0)),
    "orange": ((25, 36), (0.85, 1.0), (0.9, 1.0)),
    "yellow": ((50, 60), (0.7, 1.0), (0.88, 1.0)),
    "green": ((95, 150), (0.55, 1.0), (0.38, 0.85)),
    "blue": ((208, 240), (0.65, 1.0), (0.5, 1.0)),
    "purple": ((272, 296), (0.6, 1.0), (0.48, 0.8)),
    "black": ((0, 360), (0.0, 0.2), (0.0, 0.12)),
    "white": ((0, 360), (0.0, 0.02), (0.96, 1.0)),
    "grey": ((0, 360), (0.0, 0.03), (0.42, 0.66)),
    "brown": ((18, 27), (0.55, 0.85), (0.36, 0.52)),
    "pink": ((326, 346), (0.3, 0.6), (0.92, 1.0)),
}
COLOURS = tuple(_RANGES)
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross", "heart", "hexagon")


@dataclass(frozen=True, slots=True)
class Item:
    """What stands in a picture.

    Attributes:
        name: a shape, or the word of a thing.
        colour: of a shape; "" for a thing.
        box: of its pixels, (x1, y1, x2, y2) in pixels; set when it is drawn.
        sprite: (S, S, 4) uint8 for a thing.
    """

    name: str
    colour: str = ""
    box: Pixels = (0.0, 0.0, 0.0, 0.0)
    sprite: np.ndarray | None = None

    @property
    def phrase(self) -> str:
        """ "red circle", "dog"."""
        return f"{self.colour} {self.name}".strip()


def sample_colour(name: str, rng: Random) -> RGB:
    """One of the many colours that go by a name, 0 to 255."""
    hue, saturation, value = (rng.uniform(*limits) for limits in _RANGES[name])
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)
    return red * 255, green * 255, blue * 255


def contrast(first: RGB, second: RGB) -> float:
    """Euclidean distance in RGB, brightness counted double."""
    light = sum(first) / 3 - sum(second) / 3
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) + 3 * light**2)


# --- shapes: corners within the unit circle, y downwards


def _around(radii: Sequence[float], turn: float = 0.0) -> np.ndarray:
    angles = 2 * np.pi * np.arange(len(radii)) / len(radii) - np.pi / 2 + turn
    return np.stack([np.cos(angles), np.sin(angles)], 1) * np.asarray(radii)[:, None]


def _cross(rng: Random) -> np.ndarray:
    arm = rng.uniform(0.22, 0.42)
    quarter = np.array([(-arm, -1.0), (arm, -1.0), (arm, -arm)])
    turned = [quarter]
    for _ in range(3):
        turned.append(np.stack([-turned[-1][:, 1], turned[-1][:, 0]], 1))
    return np.concatenate(turned)


def _heart(rng: Random) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    across = 16 * np.sin(angle) ** 3
    along = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return np.stack([across, -along - 2.5], 1) / 17


def _turned(points: np.ndarray, degrees: float) -> np.ndarray:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ np.array([[cos, sin], [-sin, cos]])


def _star(rng: Random) -> np.ndarray:
    inner = rng.uniform(0.36, 0.52)
    return _turned(_around([1, inner] * 5), rng.uniform(-20, 20))


def _triangle(rng: Random) -> np.ndarray:
    half, height = rng.uniform(0.7, 1.0), rng.uniform(0.75, 0.95)
    return _turned(np.array([(0.0, -height), (half, height), (-half, height)]), rng.uniform(-8, 8))


def _square(rng: Random) -> np.ndarray:
    return _turned(np.array([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]), rng.uniform(-7, 7))


def _diamond(rng: Random) -> np.ndarray:
    wide = rng.uniform(0.62, 0.95)
    return _turned(np.array([(0.0, -1.0), (wide, 0.0), (0.0, 1.0), (-wide, 0.0)]), rng.uniform(-5, 5))


_CORNERS: dict[str, Callable[[Random], np.ndarray]] = {
    "circle": lambda rng: _around([1.0] * 90),
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "diamond": _diamond,
    "cross": lambda rng: _turned(_cross(rng), rng.uniform(-8, 8)),
    "heart": lambda rng: _turned(_heart(rng), rng.uniform(-10, 10)),
    "hexagon": lambda rng: _turned(_around([1.0] * 6), rng.choice([0, 30]) + rng.uniform(-6, 6)),
}


def _coverage(points: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Share of each pixel that a polygon covers, (height, width) in 0..1, and where its top left pixel lies."""
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    width, height = (int(side) for side in high - low + 1)
    mask = Image.new("L", (width * OVERSAMPLING, height * OVERSAMPLING))
    ImageDraw.Draw(mask).polygon([tuple(point) for point in (points - low) * OVERSAMPLING], fill=255)
    small = np.asarray(mask.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    return small, int(low[0]), int(low[1])


# --- backgrounds: float arrays (height, width, 3) around a base colour


def _gradient(rng: Random, width: int, height: int) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = rng.uniform(0, 2 * math.pi)
    ramp = np.hypot(x, y) - 0.7 if rng.random() < 0.4 else x * math.cos(angle) + y * math.sin(angle)
    return ramp[..., None] * np.array([rng.uniform(-22, 22) for _ in range(3)])


def _clouds(rng: Random, width: int, height: int) -> np.ndarray:
    """Smooth random patches of several sizes, as in a photograph out of focus."""
    source = np.random.default_rng(rng.getrandbits(32))
    total = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((3, 16), (7, 9), (17, 5)):
        coarse = source.normal(0, strength, (cells, cells, 1)) + source.normal(0, strength / 3, (cells, cells, 3))
        planes = [Image.fromarray(coarse[..., c].astype(np.float32)) for c in range(3)]
        total += np.stack([np.asarray(p.resize((width, height), Image.Resampling.BICUBIC)) for p in planes], -1)
    return total


def _grain(rng: Random, width: int, height: int) -> np.ndarray:
    source = np.random.default_rng(rng.getrandbits(32))
    return source.normal(0, rng.uniform(2, 14), (height, width, 1)) + source.normal(0, 2, (height, width, 3))


def _paper(rng: Random, width: int, height: int) -> np.ndarray:
    """Fine lines or squares, as on writing paper."""
    step, strength = rng.randint(14, 40), rng.uniform(-26, -10)
    lines = (np.arange(height) % step == 0)[:, None] | np.zeros((1, width), bool)
    if rng.random() < 0.5:
        lines = lines | (np.arange(width) % step == 0)[None]
    return (lines * strength)[..., None] + _grain(rng, width, height) * 0.3


BACKGROUNDS: tuple[Callable[[Random, int, int], np.ndarray], ...] = (
    lambda rng, width, height: np.zeros((height, width, 3)),
    _gradient,
    _clouds,
    _grain,
    _paper,
)


def sample_base(rng: Random, against: Sequence[RGB], apart: float) -> RGB:
    """A background colour that all the given colours stand out from by `apart`, as well as a few dozen tries can do."""
    best, widest = (128.0, 128.0, 128.0), -1.0
    for _ in range(30):
        kind = rng.random()
        grey = rng.uniform(225, 255) if kind < 0.5 else rng.uniform(20, 230)
        tint = 4 if kind < 0.5 else rng.choice([6, 45])
        red, green, blue = (min(255.0, max(0.0, grey + rng.uniform(-tint, tint))) for _ in range(3))
        base = (red, green, blue)
        nearest = min((contrast(base, colour) for colour in against), default=apart)
        if nearest >= apart:
            return base
        if nearest > widest:
            best, widest = base, nearest
    return best


def sample_size(rng: Random, longest: int = 900) -> tuple[int, int]:
    """(width, height), sides from 160 px on, aspect 0.6 to 1.7."""
    while True:
        width, aspect = rng.randint(160, longest), math.exp(rng.uniform(math.log(0.6), math.log(1.7)))
        if 160 <= (height := round(width / aspect)) <= longest:
            return width, height


class Canvas:
    """A picture being drawn.

    Args:
        size: (width, height) in pixels.
        against: colours that the background must let stand out.
        apart: by how much, see `contrast`; black and white are 624 apart.
        plain: one colour all over.
    """

    def __init__(
        self, rng: Random, size: tuple[int, int], against: Sequence[RGB], apart: float = 150, plain: bool = False
    ) -> None:
        self.rng, (self.width, self.height) = rng, size
        self.base = sample_base(rng, against, apart)
        background = BACKGROUNDS[0] if plain else rng.choice(BACKGROUNDS)
        self.pixels = np.asarray(self.base) + background(rng, self.width, self.height)
        self.outlined, self.shadowed = rng.random() < 0.3, rng.random() < 0.25

    def paint(self, coverage: np.ndarray, x: int, y: int, colour: RGB | np.ndarray) -> None:
        """Lay a colour over the picture where `coverage` (H, W), its top left pixel at (x, y), says.

        The colour may be an array that broadcasts to (H, W, 3).
        """
        left, top = max(0, -x), max(0, -y)
        coverage = coverage[top : self.height - y, left : self.width - x, None]
        if coverage.size:
            area = self.pixels[y + top :, x + left :][: coverage.shape[0], : coverage.shape[1]]
            colours = np.asarray(colour)
            colours = colours[top:][: coverage.shape[0]] if colours.ndim == 3 else colours
            area[:] = area * (1 - coverage) + colours * coverage

    def shape(self, name: str, colour: RGB, centre: tuple[float, float], radius: float) -> Pixels:
        """Draw a shape, its outline and shadow if this picture has them; returns the shape's box in pixels."""
        corners = _CORNERS[name](self.rng)
        here = corners * radius + np.asarray(centre)
        if self.shadowed:
            self._shadow(here, radius)
        inner = here
        if self.outlined:
            dark = sum(colour) / 3 < 90
            self.paint(*_coverage(here), (235.0, 235.0, 235.0) if dark else (25.0, 25.0, 25.0))
            inner = corners * radius * (1 - self.rng.uniform(0.05, 0.1)) + np.asarray(centre)
        coverage, x, y = _coverage(inner)
        shading = np.linspace(-14, 14, coverage.shape[0])[:, None, None] if self.rng.random() < 0.2 else 0.0
        self.paint(coverage, x, y, np.clip(np.asarray(colour) + shading, 0, 255))
        low, high = here.min(0), here.max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def _shadow(self, corners: np.ndarray, radius: float) -> None:
        coverage, x, y = _coverage(corners + radius * np.array([0.1, 0.12]))
        margin = math.ceil(radius * 0.2)
        mask = Image.fromarray((np.pad(coverage, margin) * 90).astype(np.uint8))
        soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius * 0.06)), np.float32) / 255
        self.paint(soft, x - margin, y - margin, (0.0, 0.0, 0.0))

    def thing(self, sprite: np.ndarray, centre: tuple[float, float], radius: float) -> Pixels:
        """Draw a thing in a square of side 2 x radius; returns the box of its pixels."""
        side = max(8, round(2 * radius))
        weighted = sprite.astype(np.float32)
        weighted[..., :3] *= weighted[..., 3:] / 255  # else the colour of what is transparent bleeds in
        planes = [Image.fromarray(weighted[..., c]).resize((side, side), Image.Resampling.BILINEAR) for c in range(4)]
        drawn = np.stack([np.asarray(plane) for plane in planes], -1)
        x, y = round(centre[0] - side / 2), round(centre[1] - side / 2)
        x, y = max(0, min(self.width - side, x)), max(0, min(self.height - side, y))
        drawn = drawn[: self.height - y, : self.width - x]
        area = self.pixels[y : y + drawn.shape[0], x : x + drawn.shape[1]]
        area[:] = area * (1 - drawn[..., 3:] / 255) + drawn[..., :3]
        rows, columns = (np.flatnonzero((drawn[..., 3] > 64).any(axis)) for axis in (1, 0))
        return float(x + columns[0]), float(y + rows[0]), float(x + columns[-1] + 1), float(y + rows[-1] + 1)

    def text(self, text: str, place: tuple[float, float], font: ImageFont.FreeTypeFont, colour: RGB) -> None:
        """Draw one line of text, its top left corner at `place`."""
        width, height = math.ceil(font.getlength(text)) + 8, math.ceil(font.size * 1.6)
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).text((4, 0), text, fill=255, font=font)
        self.paint(np.asarray(mask, np.float32) / 255, round(place[0]) - 4, round(place[1]), colour)

    def finish(self) -> Image.Image:
        """The picture as a file would give it back: at times a little blurred, at times through JPEG."""
        image = Image.fromarray(self.pixels.clip(0, 255).astype(np.uint8))
        if self.rng.random() < 0.15:
            image = image.filter(ImageFilter.GaussianBlur(self.rng.uniform(0.3, 0.9)))
        if self.rng.random() < 0.5:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=self.rng.randint(55, 95))
            image = Image.open(file).convert("RGB")
        return image
