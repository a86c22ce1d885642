"""A picture being drawn, and what covers each of its patches."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import accumulate, pairwise
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from finetune.tiny.palette import COLOURS, RGB, SHAPE_NAMES, Points, clamp, distance, outline, shade

PATCH = 14
Box = tuple[float, float, float, float]
CHARACTERS = "".join(map(chr, range(33, 127)))
# How much of a patch is covered is counted on so many points along its side; from this share on it has a label.
POINTS = 4
COVERED = 0.35
# Label of a patch that no loss counts.
IGNORED = -100
# Steps that the picture's sides are divided into to tell where an object's edges are: two for each patch, or nearly.
STEPS = 24
# Letters of a line that are told by their number.
LETTERS = 12
# Shapes that are told by how many there are.
COUNTED = 8


@dataclass(frozen=True, slots=True)
class Thing:
    """What was drawn: kind is "shape", "thing" or "text"; box is (x0, y0, x1, y1) as shares of the picture.

    Attributes:
        letters: of a text, the box of each character.
    """

    kind: str
    name: str
    colour: str
    box: Box
    letters: tuple[Box, ...] = ()

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) as shares of the picture."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(slots=True)
class Labels:
    """What covers each patch, int64 (rows, cols) each; 0 is nothing.

    Attributes:
        colour: 1 + index into COLOURS; IGNORED on things, which have many.
        what: 1 + index into shapes, then things.
        left, right: 1 + index into CHARACTERS, for the two halves of a patch.
        centre: 2 where the middle of an object lies, 1 on the rest of it.
        x0, y0, x1, y1: 1 + number of the step, of `STEPS`, in which an edge of the object's box lies.
        left_nth, right_nth: for the two halves of a patch, which letter of its line it shows, from 1; IGNORED behind
            `LETTERS`. Reading goes on by it where content says nothing: in the second of two equal letters.
        of_name, of_colour, of_all: on a shape, how many shapes of its name, of its colour and in all the picture has;
            IGNORED above `COUNTED`. All patches of a picture see each other; the words of an answer that counts would
            have to add up what they find.
    """

    colour: np.ndarray
    what: np.ndarray
    left: np.ndarray
    right: np.ndarray
    centre: np.ndarray
    x0: np.ndarray
    y0: np.ndarray
    x1: np.ndarray
    y1: np.ndarray
    left_nth: np.ndarray
    right_nth: np.ndarray
    of_name: np.ndarray
    of_colour: np.ndarray
    of_all: np.ndarray

    @classmethod
    def empty(cls, grid: tuple[int, int]) -> Labels:
        """Of a picture of (rows, cols) patches with nothing on it."""
        return cls(*(np.zeros(grid, np.int64) for _ in fields(cls)))

    def table(self) -> np.ndarray:
        """All of them, int64 (number of fields, rows, cols)."""
        return np.stack([getattr(self, field.name) for field in fields(self)])


@lru_cache(maxsize=512)
def font_of(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A font in a size in pixels."""
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=8192)
def advance(path: str, character: str) -> float:
    """How far a character of a font moves the next one, as a share of the font's size."""
    return font_of(path, 64).getlength(character) / 64


def scaled(points: Points, x: float, y: float, radius: float, stretch: float) -> Points:
    """Corners around a place; `stretch` widens and flattens."""
    return [(x + px * radius * stretch, y + py * radius / stretch) for px, py in points]


class Canvas:
    """Draws in the coordinates of the final picture.

    Args:
        grid: (rows, cols) of patches.
        rng: chooses the background, and what is left open when something is drawn.
        scale: the picture is drawn so many times larger and then shrunk.
        fonts: files of fonts.
        sprites: by style, by word, uint8 (H, W, 4) RGBA.
        words: names of things in label order.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        rng: Random,
        scale: float,
        fonts: Sequence[str],
        sprites: Mapping[str, Mapping[str, np.ndarray]],
        words: Sequence[str],
    ) -> None:
        self.rows, self.cols = grid
        self.width, self.height = self.cols * PATCH, self.rows * PATCH
        self.rng, self.scale, self.fonts, self.sprites, self.words = rng, scale, fonts, sprites, words
        size = (round(self.width * scale), round(self.height * scale))
        self.ground, self.image = background(size, rng)
        self.draw = ImageDraw.Draw(self.image)
        self.objects: list[Thing] = []
        self.labels = Labels.empty(grid)
        self._on_top = np.full(grid, -1)

    def choose_colour(self, names: tuple[str, ...] | None = None, apart: float = 150.0) -> tuple[str, RGB] | None:
        """A colour, and a shade of it that stands out from the ground; None if none does.

        Args:
            names: only these; all if None.
            apart: least `distance` from the ground.
        """
        for _ in range(12):
            colour = self.rng.choice(COLOURS)
            if names and colour.name not in names:
                continue
            found = shade(colour, self.rng)
            if all(distance(found, ground) > apart for ground in self.ground):
                return colour.name, found
        return None

    def shade_of(self, name: str) -> RGB | None:
        """A shade of a colour that stands out from the ground; None if none does."""
        colour = next(colour for colour in COLOURS if colour.name == name)
        for _ in range(6):
            found = shade(colour, self.rng)
            if all(distance(found, ground) > 130 for ground in self.ground):
                return found
        return None

    def shape(self, name: str, colour: str, rgb: RGB, x: float, y: float, radius: float) -> Thing:
        """Draw a shape around (x, y), pixels of the grid; `radius` is half its side."""
        rng, scale = self.rng, self.scale
        stretch = rng.uniform(0.9, 1.1) if rng.random() < 0.4 and name not in ("square", "circle") else 1.0
        corners = scaled(outline(name, rng), x, y, radius, stretch)
        large = [(px * scale, py * scale) for px, py in corners]
        style = rng.random()
        if style < 0.75:
            self.draw.polygon(large, fill=rgb)
        elif style < 0.93:
            edge = clamp(value * rng.uniform(0.3, 0.75) for value in rgb) if rng.random() < 0.7 else (10, 10, 10)
            self.draw.polygon(large, fill=rgb, outline=edge, width=max(1, round(scale * rng.uniform(0.8, 2.5))))
        else:
            self.draw.polygon(large, outline=rgb, width=max(2, round(scale * radius * rng.uniform(0.14, 0.3))))
        covered = self._cover(corners, SHAPE_NAMES.index(name) + 1, colour)
        return self._add(Thing("shape", name, colour, self._box(corners)), covered)

    def thing(self, word: str, style: str, x: float, y: float, size: float) -> Thing:
        """Paste the drawing of a thing around (x, y), about `size` wide."""
        sprite = vary(Image.fromarray(self.sprites[style][word]), self.rng, max(8, round(size * self.scale)))
        left, top = round(x * self.scale - sprite.width / 2), round(y * self.scale - sprite.height / 2)
        self.image.paste(sprite, (left, top), sprite)
        box = sprite.getchannel("A").point(lambda value: 255 if value > 96 else 0).getbbox() or (0, 0, 1, 1)
        mask = Image.new("L", (self.cols * POINTS, self.rows * POINTS))
        ratio = POINTS / PATCH / self.scale
        small = sprite.getchannel("A").resize(
            (max(1, round(sprite.width * ratio)), max(1, round(sprite.height * ratio))), Image.Resampling.BOX
        )
        mask.paste(small, (round(left * ratio), round(top * ratio)))
        covered = self._share(mask) > COVERED
        self.labels.what[covered] = 1 + len(SHAPE_NAMES) + self.words.index(word)
        self.labels.colour[covered] = IGNORED
        edges = [(left + box[0], top + box[1]), (left + box[2], top + box[3])]
        extent = self._box([(px / self.scale, py / self.scale) for px, py in edges])
        return self._add(Thing("thing", word, "", extent), covered)

    def text(self, text: str, font: str, size: float, colour: str, rgb: RGB, x: float, y: float) -> Thing:
        """Write a line whose top left is (x, y), letters `size` pixels high or so."""
        face = font_of(font, max(6, round(size * self.scale)))
        at = (x * self.scale, y * self.scale)
        self.draw.text(at, text, fill=rgb, font=face)
        x0, y0, x1, y1 = (value / self.scale for value in face.getbbox(text))
        top, bottom = y + y0, y + y1
        starts = [0.0, *accumulate(advance(font, character) * size for character in text)]
        covered = np.zeros((self.rows, self.cols), bool)
        for index, character in enumerate(text):
            if character in CHARACTERS:
                label = CHARACTERS.index(character) + 1
                across = x + starts[index], x + starts[index + 1]
                covered |= self._letter(label, index + 1, colour, across, top, bottom)
        letters = tuple(self._box([(x + left, top), (x + right, bottom)]) for left, right in pairwise(starts))
        return self._add(Thing("text", text, colour, self._box([(x + x0, top), (x + x1, bottom)]), letters), covered)

    def _letter(
        self, label: int, nth: int, colour: str, across: tuple[float, float], top: float, bottom: float
    ) -> np.ndarray:
        """Label the half patches whose middle lies within a letter, in rows that show enough of the line.

        Args:
            nth: number in its line, from 1. across: from where to where, in pixels of the grid.

        Returns:
            Which patches got a label, bool (rows, cols).
        """
        covered = np.zeros((self.rows, self.cols), bool)
        first, last = max(0, int(top // PATCH)), min(self.rows - 1, int(bottom // PATCH))
        for row in range(first, last + 1):
            overlap = min(bottom, (row + 1) * PATCH) - max(top, row * PATCH)
            if overlap < 0.4 * min(PATCH, bottom - top):
                continue
            halves = ((0.25, self.labels.left, self.labels.left_nth), (0.75, self.labels.right, self.labels.right_nth))
            for side, table, numbers in halves:
                start, stop = (int(np.ceil(x / PATCH - side)) for x in across)
                cells = slice(max(0, start), max(0, min(self.cols, stop)))
                table[row, cells] = label
                numbers[row, cells] = nth if nth <= LETTERS else IGNORED
                self.labels.colour[row, cells] = _colour_index(colour)
                covered[row, cells] = True
        return covered

    def _cover(self, corners: Points, what: int, colour: str) -> np.ndarray:
        """Label the patches that a polygon covers; gives which, bool (rows, cols)."""
        mask = Image.new("L", (self.cols * POINTS, self.rows * POINTS))
        ratio = POINTS / PATCH
        ImageDraw.Draw(mask).polygon([(px * ratio - 0.5, py * ratio - 0.5) for px, py in corners], fill=255)
        covered = self._share(mask) > COVERED
        self.labels.what[covered] = what
        self.labels.colour[covered] = _colour_index(colour)
        return covered

    def _share(self, mask: Image.Image) -> np.ndarray:
        """How much of each patch a mask covers, (rows, cols) in 0..1."""
        return np.asarray(mask).reshape(self.rows, POINTS, self.cols, POINTS).mean((1, 3)) / 255

    def _box(self, corners: Points) -> Box:
        """What of the corners' extent lies in the picture."""
        across = [max(0.0, min(1.0, x / self.width)) for x, _ in corners]
        down = [max(0.0, min(1.0, y / self.height)) for _, y in corners]
        return min(across), min(down), max(across), max(down)

    def _add(self, thing: Thing, covered: np.ndarray) -> Thing:
        """Keep what was drawn, and tell the patches it covers, bool (rows, cols), where its middle and edges are."""
        self.labels.centre[covered] = 1
        x, y = thing.centre
        self.labels.centre[min(self.rows - 1, int(y * self.rows)), min(self.cols - 1, int(x * self.cols))] = 2
        tables = (self.labels.x0, self.labels.y0, self.labels.x1, self.labels.y1)
        for table, edge in zip(tables, thing.box, strict=True):
            table[covered] = 1 + min(STEPS - 1, int(edge * STEPS))
        self._on_top[covered] = len(self.objects)
        self.objects.append(thing)
        self._count()
        return thing

    def _count(self) -> None:
        """Tell the patches of shapes how many there are now."""
        names = [thing.name if thing.kind == "shape" else "" for thing in self.objects]
        colours = [thing.colour if thing.kind == "shape" else "" for thing in self.objects]
        counts = (
            (self.labels.of_name, [names.count(name) if name else 0 for name in names]),
            (self.labels.of_colour, [colours.count(colour) if colour else 0 for colour in colours]),
            (self.labels.of_all, [sum(map(bool, names)) if name else 0 for name in names]),
        )
        for table, numbers in counts:
            # The last is for patches with nothing on them.
            table[:] = np.array([*(number if number <= COUNTED else IGNORED for number in numbers), 0])[self._on_top]

    def finish(self) -> np.ndarray:
        """The picture as a camera or a file would have it: uint8 (H, W, 3)."""
        return self.picture(True)

    def picture(self, shrink: bool) -> np.ndarray:
        """The finished picture, in the size of the grid or as it was drawn."""
        rng, image = self.rng, self.image
        if shrink and image.size != (self.width, self.height):
            way = rng.choice((Image.Resampling.BICUBIC, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS,
                              Image.Resampling.BILINEAR))  # fmt: skip
            image = image.resize((self.width, self.height), way)
        if rng.random() < 0.15:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
        if rng.random() < 0.2:
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=rng.randint(35, 92))
            image = Image.open(buffer)
        pixels = np.asarray(image)
        if rng.random() < 0.12:
            noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(2, 9), pixels.shape)
            pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
        return pixels


def _colour_index(name: str) -> int:
    return next(index for index, colour in enumerate(COLOURS) if colour.name == name) + 1


def background(size: tuple[int, int], rng: Random) -> tuple[list[RGB], Image.Image]:
    """A ground to draw on, and the colours it is made of."""
    kind = rng.random()
    if kind < 0.3:
        level = rng.choice((255, 255, 250, 245, 235))
        colour = clamp(level - rng.uniform(0, 12) for _ in range(3)) if level < 255 else (255, 255, 255)
        return [colour], Image.new("RGB", size, colour)
    if kind < 0.45:
        grey = rng.randint(20, 235)
        colour = clamp(grey + rng.uniform(-14, 14) for _ in range(3))
        return [colour], Image.new("RGB", size, colour)
    first = clamp(rng.uniform(0, 255) for _ in range(3))
    if kind < 0.65:
        return [first], Image.new("RGB", size, first)
    spread = rng.choice((15, 30, 60))
    second = clamp(value + rng.uniform(-spread, spread) for value in first)
    if kind < 0.8:
        steps = np.array([first, second], np.uint8)
        steps = steps[:, None] if rng.random() < 0.5 else steps[None]
        return [first, second], Image.fromarray(steps).resize(size, Image.Resampling.BILINEAR)
    cells = rng.choice((3, 5, 9, 24))
    share = np.random.default_rng(rng.getrandbits(32)).random((cells, cells, 1))
    mixed = np.array(first) * share + np.array(second) * (1 - share)
    return [first, second], Image.fromarray(mixed.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def vary(sprite: Image.Image, rng: Random, size: int) -> Image.Image:
    """A drawing flipped, turned, stretched and recoloured, about `size` pixels high."""
    if rng.random() < 0.5:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.4:
        sprite = sprite.rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR)
    aspect = rng.uniform(0.86, 1.16)
    sprite = sprite.resize((max(8, round(size * aspect)), max(8, size)), Image.Resampling.BILINEAR)
    if rng.random() < 0.65:
        pixels = np.asarray(sprite).astype(np.float32)
        colours = pixels[..., :3]
        grey = colours.mean(-1, keepdims=True)
        colours = grey + (colours - grey) * rng.uniform(0.3, 1.5)
        colours = colours * [rng.uniform(0.75, 1.25) for _ in range(3)] + rng.uniform(-25, 25)
        if rng.random() < 0.2:
            colours = colours[..., rng.sample(range(3), 3)]
        pixels[..., :3] = colours.clip(0, 255)
        sprite = Image.fromarray(pixels.astype(np.uint8))
    return sprite
