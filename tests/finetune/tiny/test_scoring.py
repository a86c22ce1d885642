"""What counts as a right answer."""

from __future__ import annotations

import pytest

from finetune.tiny.scoring import (
    COLOUR_WORDS,
    NUMBER_WORDS,
    ORDINALS,
    SHAPE_WORDS,
    YES_NO,
    Score,
    edits,
    form,
    iou,
    lists,
    names,
    overlaps,
    place,
    reads,
    says,
    thing_words,
    transcribes,
)

RED = names(COLOUR_WORDS, "red")
PAIR = lists(("red", "circle"), ("", "hot dog"))
BOX = overlaps((100, 100, 300, 300))


@pytest.mark.parametrize(
    ("score", "answer", "expected"),
    [
        (RED, "red", 1),
        (RED, "The star is Red.", 1),
        (RED, "红色", 1),
        (RED, "红色的", 1),
        (RED, "red or blue", 0),
        (RED, "hundred", 0),
        (RED, "粉红色", 0),
        (RED, "", 0),
        (RED, "red " + "and so on " * 30, 0),
        (names(COLOUR_WORDS, "grey"), "gray", 1),
        (names(SHAPE_WORDS, "cross"), "There are crosses.", 1),
        (names(SHAPE_WORDS, "square"), "正方形", 1),
        (names(NUMBER_WORDS, "3"), "3", 1),
        (names(NUMBER_WORDS, "3"), "There are three.", 1),
        (names(NUMBER_WORDS, "3"), "13", 0),
        (names(YES_NO, "no"), "No, there is no blue square.", 1),
        (names(YES_NO, "yes"), "no", 0),
        (names(ORDINALS, "second"), "The second image.", 1),
        (names(ORDINALS, "second"), "the first", 0),
        (names(thing_words(), "dog"), "a dog", 1),
        (names(thing_words(), "dog"), "a hot dog", 0),
        (names(thing_words(), "apple"), "a green apple", 0),
        (names(thing_words(), "panda"), "熊猫", 1),
        (names(thing_words(), "cat"), "熊猫", 0),
        (names(thing_words(), "cat", asked=["dog"]), "A cat is left of the dog.", 1),
        (place("left"), "on the left", 1),
        (place("left"), "middle left", 1),
        (place("top", "left"), "in the upper left corner", 1),
        (place("top"), "top left", 0),
        (place("middle"), "in the centre", 1),
        (reads("A7C"), 'The text is "A7C".', 1),
        (reads("A7C"), "A7C 9", 0),
        (reads("12"), "123", 0),
        (PAIR, "There is a red circle and a hot dog.", 1),
        (PAIR, "There is a red circle.", 0.5),
        (PAIR, "There is a blue circle and a hot dog.", 0.5),
        (PAIR, "There is a red circle, a hot dog, a blue star and a cat.", 0.5),
        (lists(("red", "star"), ("red", "star")), "There are two red stars.", 1),
        (BOX, "<box>110 95 305 290</box>", 1),
        (BOX, "<box>300 300 500 500</box>", 0),
        (BOX, "110 95 305 290", 0),
        (BOX, "<box>100 100 300</box>", 0),
        (BOX, "<box>100 100 300 300</box><box>1 1 2 2</box>", 0),
        (form("red", None), "red", 1),
        (form("red", None), "red circle", 0),
        (form("red", "circle"), "red circle", 1),
        (form(None, "circle"), "red circle", 0),
        (says("small", "only|simple"), "I am a SMALL model and know simple pictures.", 1),
        (says("small", "only|simple"), "a small dog", 0),
        (says("."), " ", 0),
        (transcribes("Hello\nworld"), "Hello world", 1),
        (transcribes("abcd"), "abce", 0.75),
        (transcribes("ab"), "something else altogether", 0),
    ],
)  # fmt: skip
def test_answers(score: Score, answer: str, expected: float) -> None:
    assert score(answer) == pytest.approx(expected)


def test_edits() -> None:
    assert [edits(*pair) for pair in (("", "abc"), ("abc", ""), ("kitten", "sitting"), ("same", "same"))] == [
        3,
        3,
        3,
        0,
    ]


def test_intersection_over_union() -> None:
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 1, 1), (5, 5, 6, 6)) == 0
    assert iou((3, 3, 1, 1), (3, 3, 1, 1)) == 0
