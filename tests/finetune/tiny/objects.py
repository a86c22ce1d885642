"""Objects as if drawn, for what is asked and said of them."""

from __future__ import annotations

from finetune.tiny.canvas import Thing


def at(name: str, colour: str, x: float, y: float, side: float = 0.2) -> Thing:
    """A shape, or without a colour a thing, around (x, y)."""
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return Thing("shape" if colour else "thing", name, colour, box)


STAR, CIRCLE, OWL = at("star", "red", 0.15, 0.5), at("circle", "orange", 0.8, 0.45), at("owl", "", 0.5, 0.85)
WORD = Thing("text", "Hi 5", "blue", (0.1, 0.1, 0.5, 0.2))
NUMBER = Thing("text", "42", "green", (0.1, 0.1, 0.5, 0.2))
