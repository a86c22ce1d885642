"""The colours and shapes the embedded model knows, in both languages, and how they are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

RGB = tuple[int, int, int]
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour's names in both languages, and the shades between which it is drawn."""

    name: str
    chinese: str
    anchors: tuple[RGB, ...]


COLOURS = (
    Colour("red", "红色", ((255, 0, 0), (220, 20, 40), (190, 25, 30), (235, 60, 50))),
    Colour("orange", "橙色", ((255, 165, 0), (255, 140, 0), (245, 130, 20), (240, 110, 15))),
    Colour("yellow", "黄色", ((255, 255, 0), (250, 220, 30), (240, 215, 60), (255, 235, 59))),
    Colour("green", "绿色", ((0, 128, 0), (40, 170, 60), (0, 200, 60), (20, 100, 40), (76, 175, 80), (0, 255, 0))),
    Colour("blue", "蓝色", ((0, 0, 255), (40, 80, 220), (30, 120, 230), (20, 40, 150), (33, 150, 243))),
    Colour("purple", "紫色", ((128, 0, 128), (140, 50, 180), (110, 40, 160), (156, 39, 176), (95, 20, 140))),
    Colour("black", "黑色", ((0, 0, 0), (20, 20, 20), (35, 35, 40))),
    Colour("white", "白色", ((255, 255, 255), (250, 250, 250), (245, 246, 248))),
    Colour("grey", "灰色", ((128, 128, 128), (105, 105, 108), (150, 150, 150), (160, 162, 165))),
    Colour("brown", "棕色", ((139, 69, 19), (121, 72, 40), (101, 60, 30), (150, 85, 45))),
    Colour("pink", "粉色", ((255, 192, 203), (255, 105, 180), (245, 150, 180), (240, 130, 170))),
)
NAMES = tuple(colour.name for colour in COLOURS)
# Drawn more often than the rest.
COMMON = NAMES[:8]


def shade(colour: Colour, rng: Random) -> RGB:
    """A shade of the colour: between two of its anchors, a little off."""
    first, second = rng.choice(colour.anchors), rng.choice(colour.anchors)
    share = rng.random()
    mixed = (a + (b - a) * share + rng.uniform(-9, 9) for a, b in zip(first, second, strict=True))
    return clamp(mixed)


def clamp(values: Iterable[float]) -> RGB:
    """Three numbers as a colour of 8 bits each."""
    red, green, blue = (max(0, min(255, round(value))) for value in values)
    return red, green, blue


def distance(first: RGB, second: RGB) -> float:
    """How different two colours look: weighted Euclidean distance ("redmean"), 0 to about 765."""
    mean = (first[0] + second[0]) / 2
    red, green, blue = (a - b for a, b in zip(first, second, strict=True))
    return math.sqrt((2 + mean / 256) * red**2 + 4 * green**2 + (2 + (255 - mean) / 256) * blue**2)


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape's names: English, Chinese, English for several."""

    name: str
    chinese: str
    plural: str


SHAPES = (
    Shape("circle", "圆形", "circles"),
    Shape("square", "正方形", "squares"),
    Shape("triangle", "三角形", "triangles"),
    Shape("star", "星形", "stars"),
    Shape("diamond", "菱形", "diamonds"),
    Shape("cross", "十字形", "crosses"),
    Shape("heart", "心形", "hearts"),
    Shape("hexagon", "六边形", "hexagons"),
)
SHAPE_NAMES = tuple(shape.name for shape in SHAPES)


def outline(name: str, rng: Random) -> Points:
    """The corners of a shape around (0, 0), at most 1 from it along each axis, proportions varied."""
    points = _CORNERS[name](rng)
    turn = math.radians(rng.uniform(-12, 12)) if rng.random() < 0.5 and name not in ("square", "diamond") else 0.0
    # These two are each other, turned far enough.
    if name in ("square", "diamond"):
        turn = math.radians(rng.uniform(-6, 6)) if rng.random() < 0.4 else 0.0
    cos, sin = math.cos(turn), math.sin(turn)
    turned = [(x * cos - y * sin, x * sin + y * cos) for x, y in points]
    reach = max(max(abs(x), abs(y)) for x, y in turned)
    return [(x / reach, y / reach) for x, y in turned]


def _ring(count: int, radius: float = 1.0, phase: float = 0.0) -> Points:
    angles = [phase + 2 * math.pi * i / count for i in range(count)]
    return [(radius * math.sin(a), -radius * math.cos(a)) for a in angles]


def _square(rng: Random) -> Points:
    return [(-1, -1), (1, -1), (1, 1), (-1, 1)]


def _triangle(rng: Random) -> Points:
    tip = rng.uniform(-0.3, 0.3) if rng.random() < 0.4 else 0.0
    height = rng.uniform(0.8, 1.0)
    return [(tip, -height), (1, height), (-1, height)]


def _star(rng: Random) -> Points:
    count = 5 if rng.random() < 0.92 else 6
    inner = rng.uniform(0.36, 0.52)
    pairs = zip(_ring(count), _ring(count, inner, math.pi / count), strict=True)
    return [point for pair in pairs for point in pair]


def _diamond(rng: Random) -> Points:
    width = rng.uniform(0.62, 1.0)
    return [(0, -1), (width, 0), (0, 1), (-width, 0)]


def _cross(rng: Random) -> Points:
    arm = rng.uniform(0.22, 0.4)
    quarter = [(arm, -1), (arm, -arm), (1, -arm)]
    points: Points = []
    for _ in range(4):
        points += quarter
        quarter = [(-y, x) for x, y in quarter]
    return points


def _heart(rng: Random) -> Points:
    angles = [2 * math.pi * i / 36 for i in range(36)]
    return [
        (
            math.sin(a) ** 3,
            -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16,
        )
        for a in angles
    ]


def _hexagon(rng: Random) -> Points:
    return _ring(6, phase=0.0 if rng.random() < 0.5 else math.pi / 6)


_CORNERS: dict[str, Callable[[Random], Points]] = {
    "circle": lambda rng: _ring(40),
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "diamond": _diamond,
    "cross": _cross,
    "heart": _heart,
    "hexagon": _hexagon,
}
