"""What the tokens of an answer look at."""

from __future__ import annotations

from random import Random

import pytest
from tokenizers import Tokenizer

from app.media.slicing import SlicePlan
from finetune.tiny import lessons
from finetune.tiny.canvas import Box, Thing
from finetune.tiny.looks import (
    READABLE,
    RESTING,
    SIDE,
    WHOLE,
    Look,
    covered,
    letters_of,
    looks_of,
    own,
    pointed,
    recalled,
    regions,
    wanted,
)
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.samples import Exchange, TokenWriter, whole

CORNER, RIGHT = (0.0, 0.0, 0.25, 0.25), (0.75, 0.4, 1.0, 0.6)
CUT = SlicePlan((168, 168), (2, 1), (336, 168), (168, 168), 14)


def test_queries_inside_a_box_are_covered() -> None:
    corner = covered([CORNER]).view(SIDE, SIDE)
    assert corner.sum() == 4 and corner[:2, :2].all()
    both = covered([CORNER, RIGHT]).view(SIDE, SIDE)
    assert both[:2, :2].all() and both[2:4, 4:].all() and both.sum() == 8
    speck = covered([(0.49, 0.99, 0.5, 1.0)]).view(SIDE, SIDE)
    assert speck.sum() == 1 and speck[5, 2] == 1


def test_slices_show_their_part() -> None:
    assert regions(SlicePlan((168, 168))) == [WHOLE]
    assert regions(CUT) == [WHOLE, (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)]


def test_an_object_is_looked_for_where_it_shows() -> None:
    slices = list(zip((10, 110, 210), regions(CUT), strict=True))
    everywhere = wanted(Look((RIGHT,)), slices)
    assert {token // 100 for token in everywhere} == {0, 2} and set(everywhere.values()) == {1.0}
    assert {token // 100 for token in wanted(Look((RIGHT,), close=True), slices)} == {2}
    # Across the border, in halves: a letter is read where it is whole.
    halves = ((0.4, 0.4, 0.6, 0.6),)
    assert {token // 100 for token in wanted(Look(halves), slices)} == {0, 1, 2}
    assert {token // 100 for token in wanted(Look(halves, close=True), slices)} == {0}
    assert {token // 100 for token in wanted(Look(((0.2, 0.4, 0.55, 0.6),), close=True), slices)} == {1}
    assert wanted(Look((RIGHT,), close=True), slices[:1]) == wanted(Look((RIGHT,)), slices[:1]) != {}


def test_counting_leaves_the_rest_to_the_first_token() -> None:
    slices = [(10, WHOLE), (110, WHOLE)]
    assert wanted(Look((), counted=True), slices) == {0: 1.0}
    both, apart = (wanted(Look(boxes, counted=True), slices) for boxes in ((CORNER, CORNER), (CORNER, RIGHT)))
    part = 1 / (2 + RESTING)
    assert both == pytest.approx({10: 2 * part, 0: RESTING * part})
    assert apart == pytest.approx({10: part, 10 + 3 * SIDE + 5: part, 0: RESTING * part})
    # The first token counts the same against one object, however many there are: what scores can say.
    many = [wanted(Look((CORNER,) * number, counted=True), slices) for number in range(1, 12)]
    assert [found[0] / found[10] for found in many[:3]] == pytest.approx([RESTING, RESTING / 2, RESTING / 3])
    assert all(sum(found.values()) == pytest.approx(1) for found in many)


@pytest.mark.parametrize(("width", "close"), [(0.9 * READABLE / SIDE, True), (1.1 * READABLE / SIDE, False)])
def test_large_letters_are_read_anywhere_and_small_ones_close_by(width: float, close: bool) -> None:
    letters = tuple((at * width, 0.0, (at + 1) * width, 0.1) for at in range(3))
    text = Thing("text", "abc", "red", (0.0, 0.0, 3 * width, 0.1), letters)
    lesson = lessons.read_lesson([text], Random(0))
    assert lesson and [look.close for look in looks_of(lesson)] == [close] * 3
    assert letters_of(lesson) == ((0, 3),)


def test_pictures_look_at_their_numbers() -> None:
    assert own([]) == []
    found = own([(30, 20), (31, 20), (80, 60), (81, 60)])
    assert [(one.at, one.wanted, one.way) for one in found[::2]] == [(30, {20: 1.0}, "own"), (80, {60: 1.0}, "own")]
    assert len({one.share for one in found}) == 1


def test_each_token_looks_at_what_the_next_one_says() -> None:
    letters: tuple[Box, ...] = ((0.0, 0.0, 0.1, 0.1), (0.5, 0.0, 0.6, 0.1), (0.9, 0.0, 1.0, 0.1))
    text = Thing("text", "abc", "red", (0.0, 0.0, 1.0, 0.1), letters)
    lesson = lessons.read_lesson([text], Random(0))
    assert lesson
    found = pointed(looks_of(lesson), [[(10, WHOLE)]], [(0, 1), (1, 3)], 60)
    assert [(one.at, one.way) for one in found] == [(59, "ahead"), (60, "ahead"), (60, "here"), (61, "here")]
    assert {one.share for one in found} == {2**-0.5}
    assert [sorted(one.wanted) for one in found] == [[10], [13, 15]] * 2


def test_what_an_answer_is_about_is_kept_in_view() -> None:
    star = Thing("shape", "star", "red", CORNER)
    lesson = lessons.Lesson("describe", "What is it?", "a red star", (star,), picture=1)
    found = pointed(looks_of(lesson), [[(10, WHOLE)], [(50, WHOLE)]], [(0, 1), (1, 5), (5, 10)], 99)
    assert [(one.at, one.way) for one in found[:3]] == [(98, "ahead"), (99, "ahead"), (100, "ahead")]
    assert [one.share for one in found] == [1.0] + [3**-0.5] * 5
    assert [(one.at, one.way) for one in found[3:]] == [(99, "here"), (100, "here"), (101, "here")]
    assert all(min(one.wanted) == 50 for one in found)


def test_letters_of_a_drawn_text_lie_in_order_in_its_box(tokenizer: Tokenizer, supplies: Supplies) -> None:
    canvas = canvas_for((12, 12), Random(4), supplies, 1.0)
    canvas.text("Wiil", supplies.fonts[0], 30, "black", (0, 0, 0), 20, 40)
    (text,) = canvas.objects
    assert len(text.letters) == 4
    assert all(before[2] == after[0] for before, after in zip(text.letters, text.letters[1:], strict=False))
    widths = [right - left for left, _, right, _ in text.letters]
    assert widths[0] > 2 * widths[1] and abs(widths[1] - min(widths)) < 1e-6
    lesson = lessons.page(canvas.objects, Random(0))
    exchange = Exchange(lesson.question, lesson.answer, [whole(canvas.finish())], looks=looks_of(lesson))
    sample = TokenWriter(tokenizer).write([exchange])
    assert lesson.answer == "Wiil" and sample.pointed
    start = sample.places[0][0]
    columns = [min((token - start) % SIDE for token in one.wanted) for one in sample.pointed if one.way == "ahead"]
    assert columns == sorted(columns)


def test_lines_of_a_page_begin_behind_each_other() -> None:
    lines = [Thing("text", name, "red", CORNER, (CORNER,) * len(name)) for name in ("one two", "three", "four")]
    lesson = lessons.page(lines, Random(0))
    assert lesson.answer == "one two\nthree\nfour"
    assert [lesson.answer[start:].split("\n")[0] for start, _ in lesson.said] == ["one two", "three", "four"]


def test_an_answer_looks_back_at_those_before_it() -> None:
    assert recalled([(5, 7)]) == []
    found = recalled([(5, 7), (15, 16), (25, 28)])
    assert [(one.at, sorted(one.wanted)) for one in found] == [
        (24, [5, 15]),
        (25, [6, 16]),
        (26, [7, 16]),
        (27, [7, 16]),
    ]
    assert {one.share for one in found} == {0.5} and all(one.way == "back" for one in found)
