"""Colours that can be told apart, and outlines that fill the unit square and stay in it."""

from __future__ import annotations

from random import Random

import pytest

from finetune.tiny.palette import COLOURS, COMMON, NAMES, SHAPE_NAMES, SHAPES, Colour, clamp, distance, outline, shade
from finetune.tiny.scoring import COLOUR_WORDS, SHAPE_WORDS


def nearest(rgb: tuple[int, int, int]) -> str:
    """The colour that has the nearest anchor."""
    return min(COLOURS, key=lambda colour: min(distance(rgb, anchor) for anchor in colour.anchors)).name


@pytest.mark.parametrize("colour", COLOURS, ids=lambda colour: colour.name)
def test_shades_look_like_their_own_colour(colour: Colour) -> None:
    shades = [shade(colour, Random(seed)) for seed in range(100)]
    assert all(0 <= value <= 255 for rgb in shades for value in rgb)
    assert sum(nearest(rgb) == colour.name for rgb in shades) >= 85
    assert len(set(shades)) > 10


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_outlines_reach_the_edge_of_the_unit_square_and_no_further(name: str) -> None:
    drawn = {tuple(outline(name, Random(seed))) for seed in range(60)}
    for corners in drawn:
        assert max(max(abs(x), abs(y)) for x, y in corners) == pytest.approx(1)
        assert len(corners) >= 3
    assert len(drawn) > 1, "proportions do not vary"


@pytest.mark.parametrize(("name", "corners"), [("square", {4}), ("triangle", {3}), ("star", {10, 12}), ("hexagon", {6}),
                                               ("diamond", {4}), ("cross", {12})])  # fmt: skip
def test_outlines_have_the_corners_of_their_shape(name: str, corners: set[int]) -> None:
    assert {len(outline(name, Random(seed))) for seed in range(60)} == corners


def test_a_square_does_not_turn_into_a_diamond() -> None:
    for seed in range(60):
        (x, y), *_ = outline("square", Random(seed))
        assert abs(abs(x) - abs(y)) < 0.25
        tip = min(outline("diamond", Random(seed)), key=lambda corner: corner[1])
        assert abs(tip[0]) < 0.25


def test_every_name_stands_once_and_is_understood_by_the_judges() -> None:
    for colour in COLOURS:
        assert COLOUR_WORDS.found(colour.name) == COLOUR_WORDS.found(colour.chinese) == [colour.name]
    for known in SHAPES:
        assert SHAPE_WORDS.found(known.plural) == SHAPE_WORDS.found(known.chinese) == [known.name]
    assert len(set(NAMES)) == len(COLOURS) and len(set(SHAPE_NAMES)) == len(SHAPES) and set(COMMON) < set(NAMES)


def test_clamp_and_distance() -> None:
    assert clamp((-3.0, 12.6, 300)) == (0, 13, 255)
    assert distance((1, 2, 3), (1, 2, 3)) == 0
    assert distance((0, 0, 0), (255, 255, 255)) == pytest.approx(765, abs=1)
    # The eye tells greens apart better than blues.
    assert distance((0, 100, 0), (0, 140, 0)) > distance((0, 0, 100), (0, 0, 140))
