"""The generator as a source of questions: every skill of the evaluation, and the right answer scores."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finetune.tiny import curriculum, seen
from finetune.tiny.case import SKILLS, VIDEO_OPTIONS, Case
from finetune.tiny.packed import Supplies
from finetune.tiny.seen import Seen

DRAWN = [skill.name for skill in SKILLS if skill.name != "things_twemoji"]


@pytest.fixture
def source(supplies: Supplies, monkeypatch: pytest.MonkeyPatch) -> Seen:
    monkeypatch.setattr(seen, "gather", lambda cache: supplies)
    monkeypatch.setattr(seen, "AREAS", (1.0, 2.5))
    monkeypatch.setattr(curriculum, "SLICES", 4)
    return Seen(Path("cache"))


def pictures(case: Case) -> list[Any]:
    return [part for message in case.messages for part in message["content"] if not isinstance(part, str)]


@pytest.mark.parametrize("skill", DRAWN)
def test_the_expected_answer_scores_one_and_nonsense_none(source: Seen, skill: str) -> None:
    for seed in range(3):
        case = source(skill, Random(seed))
        assert case.skill == skill and (case.question or skill == "few_shot")
        assert case.score(case.expected) == 1, (case.question, case.expected)
        assert case.score("an elephant on the roof") < 0.3
        assert [message["role"] for message in case.messages][-1] == "user"
        assert all(isinstance(picture, Image.Image) and picture.mode == "RGB" for picture in pictures(case))


@pytest.mark.parametrize("skill", ["position", "video", "few_shot", "honesty"])
def test_a_seed_gives_the_same_case(source: Seen, skill: str) -> None:
    first, second = (source(skill, Random(7)) for _ in range(2))
    assert (first.question, first.expected) == (second.question, second.expected)
    for one, same in zip(pictures(first), pictures(second), strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(same))


def test_a_style_that_training_never_shows_is_not_drawn(source: Seen) -> None:
    with pytest.raises(LookupError, match="style"):
        source("things_twemoji", Random(0))
    with pytest.raises(KeyError):
        source("juggling", Random(0))


def test_forms_of_conversations(source: Seen) -> None:
    assert source("video", Random(0)).options == VIDEO_OPTIONS and len(pictures(source("video", Random(0)))) >= 8
    assert len(pictures(source("images", Random(0)))) in (2, 3)
    shots = source("few_shot", Random(0))
    assert len(pictures(shots)) == (len(shots.messages) + 1) // 2 >= 3
    turns = [source("turns", Random(seed)) for seed in range(24)]
    assert {(len(case.messages), len(pictures(case))) for case in turns if not case.group} == {(3, 1)}
    another = [case for case in turns if case.group == "next picture"]
    assert 1 < len(another) < 12
    for case in another:
        assert case.messages[-1]["content"] == [*pictures(case)[-1:], case.question] and len(pictures(case)) >= 2
    assert (
        source("small_talk", Random(0)).question.isascii() and not source("small_talk_zh", Random(0)).question.isascii()
    )
    assert pictures(source("small_talk", Random(0))) == []
    assert len(source("page", Random(0)).expected) >= 20


def test_boxes_are_judged_by_their_overlap(source: Seen) -> None:
    case = source("boxes", Random(1))
    left, top, right, bottom = (int(number) for number in case.expected[5:-6].split())
    shifted = f"<box>{left + (right - left) // 8} {top} {right} {bottom}</box>"
    assert case.score(shifted) == 1 and case.score(f"<box>{left} {top} {left + 1} {top + 1}</box>") == 0
