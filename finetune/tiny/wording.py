"""What is in a picture, in words: things, their places, boxes, and all of them in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from finetune.tiny import icons
from finetune.tiny.canvas import Thing
from finetune.tiny.palette import COLOURS, SHAPES

PLURALS = {shape.name: shape.plural for shape in SHAPES}
COLOUR_ZH = {colour.name: colour.chinese for colour in COLOURS}
SHAPE_ZH = {shape.name: shape.chinese for shape in SHAPES}
# Nearer to a border between two parts of the picture than this share of it, a place is not asked for.
MARGIN = 0.04


@lru_cache(maxsize=1)
def thing_names() -> dict[str, icons.Thing]:
    """Things by word."""
    return {thing.word: thing for thing in reversed(icons.things())}


def a(words: str) -> str:
    """With its article."""
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def phrase(thing: Thing, article: bool = True) -> str:
    """A thing in words: "a red circle", "an owl"; without article "red circle", "owl"."""
    if thing.kind == "thing":
        known = thing_names()[thing.name]
        return known.phrase if article else known.word
    if thing.kind == "text":
        return f'{"the " if article else ""}text "{thing.name}"'
    words = f"{thing.colour} {thing.name}"
    return a(words) if article else words


def zh(thing: Thing) -> str:
    """A thing in Chinese."""
    if thing.kind == "thing":
        return thing_names()[thing.name].chinese
    return f"{COLOUR_ZH[thing.colour]}的{SHAPE_ZH[thing.name]}"


def region(thing: Thing) -> str | None:
    """In which ninth of the picture it is; None near a border between two."""
    parts = []
    for value, names in zip(thing.centre, (("left", "", "right"), ("top", "", "bottom")), strict=True):
        if min(abs(value - 1 / 3), abs(value - 2 / 3)) < MARGIN:
            return None
        parts.append(names[min(2, int(value * 3))])
    return f"{parts[1]} {parts[0]}".strip() or "middle"


def box_text(thing: Thing) -> str:
    """Its box in thousandths, as the larger members of the family write boxes."""
    return "<box>" + " ".join(str(round(value * 1000)) for value in thing.box) + "</box>"


def in_order(objects: Sequence[Thing]) -> list[Thing]:
    """From top to bottom and left to right."""
    return sorted(objects, key=lambda thing: (int(thing.centre[1] * 3.5), thing.centre[0]))


def describe(objects: Sequence[Thing]) -> str:
    """All objects in a sentence, in their order."""
    order = in_order(objects)
    words = [phrase(thing) for thing in order]
    if len(order) == 1 and order[0].kind == "text":
        return f'There is the text "{order[0].name}".'
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"There is {listed}."


def named(answer: str, objects: Sequence[Thing]) -> tuple[tuple[int, Thing], ...]:
    """Where the answer of `describe` names each object: (first character, object)."""
    found, at = [], 0
    for one in in_order(objects):
        words = one.name if one.kind == "text" else phrase(one)
        at = answer.index(words, at)
        found.append((at, one))
        at += len(words)
    return tuple(found)
