"""Questions in words: all templates can be filled, and both languages answer in themselves."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from finetune.tiny import language

FIELDS = {
    "thing": "circle", "things": "circles", "colour": "red", "side": "left", "relation": "above",
    "a_thing": "a red circle", "A_thing": "A red circle", "options": "the first or the second",
    "place": "France", "person": "Newton", "topic": "the sea", "n": "3", "m": "4",
}  # fmt: skip


def templates() -> Iterator[str]:
    for value in vars(language).values():
        if isinstance(value, tuple):
            yield from (text for item in value for text in (item if isinstance(item, tuple) else (item,)))


def test_every_template_is_filled_by_the_known_fields() -> None:
    for template in templates():
        filled = template.format(**FIELDS)
        assert "{" not in filled and filled.strip()


def test_choose_fills_one_of_them() -> None:
    said = {language.choose(Random(seed), ("A {thing}?", "The {thing}?"), thing="star") for seed in range(20)}
    assert said == {"A star?", "The star?"}


def test_questions_outside_the_list_are_declined_in_their_language() -> None:
    asked = [language.outside(Random(seed)) for seed in range(200)]
    assert {answer for _, answer in asked} == {language.HONEST, language.HONEST_ZH}
    for question, answer in asked:
        assert question.isascii() == answer.isascii() and "{" not in question
    assert len({question for question, _ in asked}) > 60


def test_small_talk_is_answered_in_its_language() -> None:
    said = [language.small_talk(Random(seed)) for seed in range(200)]
    assert {reply for _, reply in said} == set(language.HELLO)
    for question, reply in said:
        assert question in language.HELLO[reply] and question.isascii() == reply.isascii()


def test_a_greeting_has_one_reply() -> None:
    asked = [question for questions in language.HELLO.values() for question in questions]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("question", ["Who are you?", "你是谁？", "What can you do?", "Hello"])
def test_the_commonest_questions_are_known(question: str) -> None:
    assert any(question in questions for questions in language.HELLO.values())
