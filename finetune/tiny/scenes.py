"""Pictures to ask about: a few objects at places that can be told apart."""

from __future__ import annotations

import math
from random import Random

from finetune.tiny.canvas import Box, Canvas, font_of
from finetune.tiny.packed import Supplies, random_text, some_style
from finetune.tiny.palette import COMMON, NAMES, RGB, SHAPE_NAMES

# Words that are also shapes, or that two icons share, make questions ambiguous.
AMBIGUOUS = ("star", "fish", "umbrella", "heart")
# To find a place and a colour for the only object of a picture, before it is given up.
TRIES = 50


def some_colour(canvas: Canvas, rng: Random) -> tuple[str, RGB] | None:
    """A colour that stands out, and a shade of it; the common ones more often."""
    return canvas.choose_colour(COMMON if rng.random() < 0.6 else NAMES, 130)


def radius_range(canvas: Canvas, count: int) -> tuple[float, float]:
    """Least and most half side of one of `count` objects, in pixels."""
    side = min(canvas.width, canvas.height)
    most = side * (0.45 if count == 1 else 0.26 if count == 2 else 0.2 if count <= 4 else 0.15)
    return max(9.0, most * (0.3 if count == 1 else 0.5)), most


def free_place(canvas: Canvas, rng: Random, radius: float) -> tuple[float, float] | None:
    """A place for an object of this radius that touches no other; None if there is none."""
    if 2 * radius + 2 > min(canvas.width, canvas.height):
        return None
    for _ in range(25):
        x = rng.uniform(radius + 1, canvas.width - radius - 1)
        y = rng.uniform(radius + 1, canvas.height - radius - 1)
        near = (_gap(canvas, thing.box, x, y) - radius for thing in canvas.objects)
        if all(gap > 4 for gap in near):
            return x, y
    return None


def _gap(canvas: Canvas, box: Box, x: float, y: float) -> float:
    """From a place to the nearest point of a box, in pixels."""
    across = max(box[0] * canvas.width - x, 0, x - box[2] * canvas.width)
    down = max(box[1] * canvas.height - y, 0, y - box[3] * canvas.height)
    return math.hypot(across, down)


def add_shape(canvas: Canvas, rng: Random, count: int, name: str | None = None, colour: str | None = None) -> bool:
    """One more shape, of `count` in all; False if it found no place or no colour."""
    rgb = canvas.shade_of(colour) if colour else None
    chosen = (colour, rgb) if colour and rgb else None if colour else some_colour(canvas, rng)
    radius = rng.uniform(*radius_range(canvas, count))
    place = free_place(canvas, rng, radius)
    if chosen is None or place is None:
        return False
    canvas.shape(name or rng.choice(SHAPE_NAMES), *chosen, *place, radius)
    return True


def add_thing(canvas: Canvas, rng: Random, supplies: Supplies, count: int) -> bool:
    """One more thing, of `count` in all."""
    style = some_style(rng, supplies)
    words = [word for word in supplies.sprites[style] if count == 1 or word not in AMBIGUOUS]
    radius = rng.uniform(*radius_range(canvas, count)) * 1.1
    place = free_place(canvas, rng, radius)
    taken = {thing.name for thing in canvas.objects}
    word = rng.choice(words)
    if place is None or word in taken:
        return False
    canvas.thing(word, style, *place, 2 * radius)
    return True


def one_shape(canvas: Canvas, rng: Random, supplies: Supplies) -> None:
    """A single shape; nothing if none finds a place and a colour."""
    any(add_shape(canvas, rng, 1) for _ in range(TRIES))


def one_thing(canvas: Canvas, rng: Random, supplies: Supplies) -> None:
    """A single thing; nothing if none finds a place."""
    any(add_thing(canvas, rng, supplies, 1) for _ in range(TRIES))


def several(canvas: Canvas, rng: Random, supplies: Supplies) -> None:
    """Up to six objects, no two alike in shape and colour, in a third of the pictures with things among them."""
    count = rng.choice((2, 2, 2, 3, 3, 4, 5, 6))
    things = rng.random() < 0.35
    for _ in range(count):
        if things and rng.random() < 0.6:
            add_thing(canvas, rng, supplies, count)
        else:
            wanted = rng.choice(SHAPE_NAMES)
            chosen = some_colour(canvas, rng)
            if chosen and not any((thing.name, thing.colour) == (wanted, chosen[0]) for thing in canvas.objects):
                add_shape(canvas, rng, count, wanted, chosen[0])
    if not canvas.objects:
        one_shape(canvas, rng, supplies)


def few(canvas: Canvas, rng: Random, supplies: Supplies) -> None:
    """Two or three large shapes, each of a name and a colour of its own."""
    count = rng.choice((2, 3))
    for name in rng.sample(SHAPE_NAMES, count):
        chosen = some_colour(canvas, rng)
        if chosen and all(thing.colour != chosen[0] for thing in canvas.objects):
            add_shape(canvas, rng, count, name, chosen[0])
    if not canvas.objects:
        one_shape(canvas, rng, supplies)


def alike(canvas: Canvas, rng: Random, supplies: Supplies) -> None:
    """Up to six of a shape, in one colour or several, sometimes with others between them."""
    name, count = rng.choice(SHAPE_NAMES), rng.randint(1, 6)
    chosen = some_colour(canvas, rng)
    colour = chosen[0] if chosen and rng.random() < 0.6 else None
    others = rng.choice((0, 0, 0, 1, 2))
    for _ in range(count):
        add_shape(canvas, rng, max(3, count + others), name, colour)
    for _ in range(others):
        add_shape(canvas, rng, max(3, count + others), rng.choice([n for n in SHAPE_NAMES if n != name]))
    if not canvas.objects:
        one_shape(canvas, rng, supplies)


def written(canvas: Canvas, rng: Random, supplies: Supplies) -> None:
    """A number, a code or a word; nothing if no text fits after many tries."""
    for _ in range(20):
        text = random_text(rng, rng.choice((1, 2, 3, 3, 4, 4, 5, 6)), supplies)
        font = rng.choice(canvas.fonts)
        unit = font_of(font, 64).getlength(text) / 64
        most = min(canvas.height / 1.5, (canvas.width - 8) / max(unit, 0.4))
        size = rng.uniform(max(12.0, most * 0.45), max(13.0, most))
        chosen = some_colour(canvas, rng)
        x, y = canvas.width - unit * size - 3, canvas.height - size * 1.35
        if chosen and x > 3 and y > 1:
            canvas.text(text, font, size, *chosen, rng.uniform(3, x), rng.uniform(0, y))
            return


def printed_page(canvas: Canvas, rng: Random, supplies: Supplies, most: int = 300) -> str:
    """Lines of print like a page or a screenshot; gives the text, "" if no colour stands out.

    Args:
        most: characters from which on no further line is begun.
    """
    font = rng.choice(canvas.fonts)
    lines_wanted = rng.randint(1, 12)
    size = canvas.height / lines_wanted / rng.uniform(1.25, 2.2)
    size = max(canvas.height * 0.045, min(size, canvas.height * 0.2))
    chosen = canvas.choose_colour(("black", "white", "blue", "grey") if rng.random() < 0.9 else None, 220)
    if chosen is None:
        return ""
    leading = size * rng.uniform(1.2, 1.6)
    left, y = rng.uniform(2, 0.08 * canvas.width), rng.uniform(1, 0.08 * canvas.height)
    words = " ".join(rng.choice(supplies.lines) for _ in range(8)).split()
    if rng.random() < 0.7:
        # Nothing but the picture tells what comes next.
        rng.shuffle(words)
        words = [random_text(rng, rng.randint(1, 7), supplies) if rng.random() < 0.25 else word for word in words]
    lines: list[str] = []
    face = font_of(font, 64)
    while y + size * 1.25 < canvas.height and sum(map(len, lines)) < most and len(lines) < lines_wanted and words:
        line = ""
        while words and face.getlength(f"{line} {words[0]}") / 64 * size < canvas.width - 2 * left:
            line = f"{line} {words.pop(0)}".strip()
            if rng.random() < 0.06:
                break
        if not line:
            words.pop(0)
            continue
        canvas.text(line, font, size, *chosen, left, y)
        lines.append(line)
        y += leading
    return "\n".join(lines)
