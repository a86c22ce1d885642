"""What is answered is true of the picture, and what the picture leaves open is not asked."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from finetune.tiny import language, lessons
from finetune.tiny.canvas import Thing
from finetune.tiny.lessons import (
    Lesson,
    Maker,
    alone,
    beside_lesson,
    box_lesson,
    colour_lesson,
    count_lesson,
    describe_lesson,
    follow_up,
    missing_shape,
    missing_thing,
    read_lesson,
    shape_lesson,
    side_lesson,
    text_colour_lesson,
    what_lesson,
    where_lesson,
    yes_no_lesson,
)  # fmt: skip
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.scenes import several
from finetune.tiny.wording import box_text, phrase, zh
from tests.finetune.tiny.objects import CIRCLE, NUMBER, OWL, STAR, WORD, at


def asked(maker: Maker, *objects: Thing, count: int = 150) -> list[Lesson]:
    made = (maker(objects, Random(seed)) for seed in range(count))
    return [lesson for lesson in made if lesson]


def pairs(maker: Maker, *objects: Thing) -> dict[str, str]:
    """Question to answer."""
    return {lesson.question: lesson.answer for lesson in asked(maker, *objects)}


def test_boxes_are_asked_of_shapes_and_things() -> None:
    assert set(pairs(box_lesson, STAR, CIRCLE).values()) == {box_text(STAR), box_text(CIRCLE)}
    assert asked(box_lesson, WORD) == []


def test_colours_are_asked_of_shapes_that_stand_alone() -> None:
    for lesson in asked(colour_lesson, STAR, CIRCLE, at("circle", "blue", 0.5, 0.1)):
        assert lesson.answer == ("红色" if lesson.skill == "colour zh" else "red")
    assert {lesson.answer for lesson in asked(colour_lesson, CIRCLE)} == {"orange", "橙色"}
    assert asked(colour_lesson, OWL) == asked(colour_lesson, STAR, STAR) == []


def test_shapes() -> None:
    assert {lesson.answer for lesson in asked(shape_lesson, CIRCLE)} == {"circle", "圆形"}
    for question, answer in pairs(shape_lesson, STAR, CIRCLE).items():
        assert answer == ("star" if "red" in question else "circle")
    assert asked(shape_lesson, STAR, at("circle", "red", 0.8, 0.8)) == []


def test_counts() -> None:
    objects = (STAR, CIRCLE, at("circle", "red", 0.5, 0.1), at("circle", "orange", 0.5, 0.9))
    counts = {"stars": 1, "circles": 3, "星形": 1, "圆形": 3, "red objects": 2, "red shapes": 2, "orange objects": 2,
              "orange shapes": 2}  # fmt: skip
    seen = set()
    for question, answer in pairs(count_lesson, *objects).items():
        words = [words for words in counts if words in question] or [
            "all" if "objects" in question or "shapes" in question else "none of it"
        ]
        assert answer == str({**counts, "all": 4, "none of it": 0}[words[0]]), question
        seen.add(words[0])
    assert {"stars", "circles", "圆形", "all", "none of it"} <= seen
    assert asked(count_lesson, STAR, OWL) == []


def test_sides() -> None:
    answers = {"left": {"red", "star", "a red star"}, "right": {"orange", "circle", "an orange circle"},
               "top": {"orange", "circle", "an orange circle"}, "bottom": {"an owl"}}  # fmt: skip
    for question, answer in pairs(side_lesson, STAR, CIRCLE, OWL).items():
        assert answer in answers[next(side for side in answers if side in question)], question
    near = at("circle", "blue", 0.2, 0.5)
    assert not any("left" in question for question in pairs(side_lesson, STAR, near, CIRCLE))


def test_places_are_asked_only_where_they_are_plain() -> None:
    for question, answer in pairs(where_lesson, STAR, OWL, at("star", "blue", 0.34, 0.1)).items():
        assert answer == ("left" if "red star" in question else "bottom"), question
    assert {lesson.answer for lesson in asked(where_lesson, STAR)} == {"left"}
    assert asked(where_lesson, WORD) == []


def test_neighbours() -> None:
    below = at("square", "blue", 0.15, 0.98)
    answers = {("left", "orange circle"): "a red star", ("right", "red star"): "an orange circle",
               ("below", "red star"): "a blue square", ("under", "red star"): "a blue square",
               ("above", "blue square"): "a red star", ("over", "blue square"): "a red star"}  # fmt: skip
    found = pairs(beside_lesson, STAR, CIRCLE, below)
    for question, answer in found.items():
        matching = [right for (way, thing), right in answers.items() if way in question and thing in question]
        assert matching == [answer], question
    assert len(set(found.values())) == 3
    two_on_the_right = pairs(beside_lesson, STAR, CIRCLE, at("heart", "pink", 0.75, 0.6))
    assert not any("right of the red star" in question for question in two_on_the_right)


def test_yes_and_no() -> None:
    answers: Counter[bool] = Counter()
    for lesson in asked(yes_no_lesson, STAR, CIRCLE, OWL, count=400):
        yes = lesson.answer in ("yes", "有")
        answers[yes] += 1
        words = lesson.question
        if words.startswith("Is the "):
            true = ("star" in words and "red" in words) or ("circle" in words and "orange" in words)
        else:
            true = any(text in words for thing in (STAR, CIRCLE, OWL) for text in (phrase(thing), zh(thing)))
            true |= any(f" a {thing.name}" in words for thing in (STAR, CIRCLE))
        assert yes == true, lesson
    assert min(answers.values()) > 100
    assert asked(yes_no_lesson, WORD) == []


def test_what_it_is() -> None:
    assert {(lesson.skill, lesson.answer) for lesson in asked(what_lesson, OWL)} == {
        ("things", "an owl"),
        ("things zh", "猫头鹰"),
    }
    assert {lesson.answer for lesson in asked(what_lesson, STAR)} == {"a red star", "红色的星形"}
    assert asked(what_lesson, STAR, OWL) == asked(what_lesson, WORD) == []


def test_what_would_be_named_twice_is_seldom_described() -> None:
    again = at("star", "red", 0.8, 0.8)
    assert 15 < len(asked(describe_lesson, STAR, CIRCLE, again)) < 50
    assert len(asked(describe_lesson, STAR, CIRCLE, OWL)) == 150


def test_texts_are_read_and_have_a_colour() -> None:
    assert set(pairs(read_lesson, WORD).values()) == {"Hi 5"}
    assert not set(pairs(read_lesson, WORD)) & (set(language.READ_NUMBER) - set(language.READ))
    assert set(pairs(read_lesson, NUMBER)) & set(language.READ_NUMBER)
    assert asked(read_lesson, WORD, NUMBER) == asked(read_lesson, STAR) == []
    assert all(
        "number" in question and answer == "green" for question, answer in pairs(text_colour_lesson, NUMBER).items()
    )


@pytest.mark.parametrize(
    ("before", "answers"),
    [
        (Lesson("colour", "What colour is the star?", "red"), {"star", "left", "orange"}),
        (Lesson("shape", "What shape is red?", "star"), {"red"}),
        (Lesson("position", "What colour is the object on the left?", "red"), {"star"}),
        (Lesson("position", "Where is the star?", "left"), set()),
        (Lesson("count", "How many stars are there?", "1"), set()),
    ],
)
def test_follow_ups(before: Lesson, answers: set[str]) -> None:
    made = [follow_up(before, (STAR, CIRCLE), Random(seed)) for seed in range(60)]
    assert {lesson.answer for lesson in made if lesson} == answers
    assert all(lesson.skill == "turns" for lesson in made if lesson)


def test_no_follow_up_where_it_would_be_open() -> None:
    twins = (STAR, at("star", "blue", 0.8, 0.8))
    assert follow_up(Lesson("shape", "What shape is red?", "star"), twins, Random(0)) is None


def test_what_is_missing_is_missing() -> None:
    for seed in range(60):
        shape, thing = missing_shape((STAR, CIRCLE), Random(seed)), missing_thing((OWL,), Random(seed))
        assert (shape.name, shape.colour) not in {("star", "red"), ("circle", "orange")}
        assert thing.name != "owl"
    shares = [missing_shape((STAR,), Random(seed)) for seed in range(60)]
    assert sum(one.name == "star" or one.colour == "red" for one in shares) > 25


def test_alone_compares_the_fields() -> None:
    twins = (STAR, at("star", "blue", 0.8, 0.8))
    assert not alone(STAR, twins, "name") and alone(STAR, twins, "name", "colour")


def test_conversations_repeat_neither_question_nor_answer(supplies: Supplies) -> None:
    """A second "red" could be copied from the first; counts and yes or no cannot but repeat."""
    lengths = []
    for seed in range(60):
        canvas = canvas_for((12, 12), Random(seed), supplies, 1.0)
        several(canvas, canvas.rng, supplies)
        made = lessons.lessons(canvas.objects, canvas.rng, 5)
        assert len({lesson.question for lesson in made if lesson.skill != "turns"}) == len(
            [lesson for lesson in made if lesson.skill != "turns"]
        )
        answers = Counter(
            (lesson.skill, lesson.answer) for lesson in made if lesson.skill not in ("count", "yes or no", "turns")
        )
        assert max(answers.values(), default=1) == 1
        lengths.append(len(made))
    assert max(lengths) in (5, 6) and min(lengths) >= 1


def test_words_around_a_question_change_nothing() -> None:
    lesson = Lesson("colour", "What colour is it?", "red")
    made = [lessons.polite(lesson, Random(seed)) for seed in range(100)]
    assert all(one.answer == "red" and one.question.startswith(lesson.question) for one in made)
    assert 0 < sum(one != lesson for one in made) < 20
    assert all(
        lessons.polite(Lesson("colour zh", "它是什么颜色？", "红色"), Random(seed)).answer == "红色"
        for seed in range(9)
    )
