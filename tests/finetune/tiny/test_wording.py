"""Objects, their places and boxes in words."""

from __future__ import annotations

import pytest

from finetune.tiny.canvas import Thing
from finetune.tiny.palette import NAMES, SHAPES
from finetune.tiny.wording import COLOUR_ZH, PLURALS, SHAPE_ZH, box_text, describe, phrase, region, zh
from tests.finetune.tiny.objects import CIRCLE, NUMBER, OWL, STAR, WORD, at


@pytest.mark.parametrize(
    ("thing", "words", "bare", "chinese"),
    [(STAR, "a red star", "red star", "红色的星形"), (CIRCLE, "an orange circle", "orange circle", "橙色的圆形"),
     (OWL, "an owl", "owl", "猫头鹰"), (at("scissors", "", 0, 0), "scissors", "scissors", "剪刀")],
)  # fmt: skip
def test_words_for_objects(thing: Thing, words: str, bare: str, chinese: str) -> None:
    assert (phrase(thing), phrase(thing, False), zh(thing)) == (words, bare, chinese)


def test_texts_in_words() -> None:
    assert phrase(WORD) == 'the text "Hi 5"'


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [(0.1, 0.1, "top left"), (0.5, 0.1, "top"), (0.9, 0.1, "top right"), (0.1, 0.5, "left"), (0.5, 0.5, "middle"),
     (0.9, 0.5, "right"), (0.1, 0.9, "bottom left"), (0.5, 0.9, "bottom"), (0.9, 0.9, "bottom right"),
     (0.34, 0.1, None), (0.1, 0.31, None), (0.9, 0.65, None), (0.7, 0.9, None)],
)  # fmt: skip
def test_regions_are_ninths_and_open_near_their_borders(x: float, y: float, place: str | None) -> None:
    assert region(at("star", "red", x, y)) == place


def test_boxes_are_written_in_thousandths() -> None:
    assert box_text(Thing("shape", "star", "red", (0, 0.1234, 0.5, 1))) == "<box>0 123 500 1000</box>"


def test_descriptions_go_from_top_to_bottom_and_left_to_right() -> None:
    right_of_star, below = at("circle", "blue", 0.8, 0.1), at("owl", "", 0.1, 0.9)
    star = at("star", "red", 0.2, 0.15)
    assert describe([below, right_of_star, star]) == "There is a red star, a blue circle and an owl."
    assert describe([star]) == "There is a red star."
    assert describe([NUMBER]) == 'There is the text "42".'


def test_every_shape_and_colour_has_its_words() -> None:
    assert set(PLURALS) == set(SHAPE_ZH) == {shape.name for shape in SHAPES}
    assert set(COLOUR_ZH) == set(NAMES)
