"""Every kind of conversation is drawn, the same for the same seed, and its answers are true."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from finetune.tiny import curriculum as module
from finetune.tiny import language
from finetune.tiny.canvas import Thing
from finetune.tiny.curriculum import Curriculum
from finetune.tiny.dense import LABELS
from finetune.tiny.packed import Supplies
from finetune.tiny.palette import NAMES
from finetune.tiny.samples import Exchange, Picture, TokenWriter, whole

PIXELS = np.zeros((168, 168, 3), np.uint8)
KINDS = {"singles": 0.1, "sliced": 0.66, "pairs": 0.72, "shots": 0.83, "sequels": 0.93, "clips": 0.98}


class Kept:
    """A writer that keeps conversations, and whether their pictures are numbered."""

    def __init__(self) -> None:
        self.numbered: list[bool] = []

    def write(self, exchanges: Sequence[Exchange], numbered: bool = True) -> list[Exchange]:
        self.numbered.append(numbered)
        return list(exchanges)


@pytest.fixture
def curriculum(supplies: Supplies, monkeypatch: pytest.MonkeyPatch) -> Curriculum[list[Exchange]]:
    monkeypatch.setattr(module, "SLICES", 8)
    return Curriculum(supplies, Kept())


def showing(*pictures: list[Thing]) -> Any:
    """What draws, instead of a scene, canvases that have these objects."""
    drawn = iter([(SimpleNamespace(objects=objects), whole(PIXELS)) for objects in pictures])
    return lambda scene: next(drawn)


def pictures(exchanges: Sequence[Exchange]) -> list[Picture]:
    return [picture for exchange in exchanges for picture in exchange.pictures]


def test_single_pictures(curriculum: Curriculum[list[Exchange]]) -> None:
    talks = [talk for seed in range(8) for talk in curriculum.batch(Random(seed), KINDS["singles"], 0.2)]
    assert len(talks) == 64 and {len(pictures(talk)) for talk in talks} == {0, 1}
    for talk in talks:
        assert all(exchange.learn and exchange.answer for exchange in talk)
        for picture in pictures(talk[:1]):
            (piece,) = picture.pieces
            assert picture.labels is not None and picture.labels.shape == (
                len(LABELS),
                piece.shape[0] * piece.shape[1] // 196,
            )
    assert {language.HONEST} & {exchange.answer for talk in talks for exchange in talk}
    assert {exchange.answer for talk in talks if not pictures(talk) for exchange in talk} <= {
        *language.HELLO, language.HONEST, language.HONEST_ZH,
    }  # fmt: skip


def test_a_beginner_sees_single_objects(curriculum: Curriculum[list[Exchange]]) -> None:
    easy = [talk for kind in (0.1, 0.9, 1.0) for talk in curriculum.batch(Random(1), kind, 1.0)]
    assert len(easy) == 24 and max(len(pictures(talk)) for talk in easy) == 1
    described = [exchange.answer for talk in easy for exchange in talk if exchange.answer.startswith("There is")]
    assert described and not any(" and " in answer for answer in described)


def test_a_searcher_sees_two_or_three_shapes(curriculum: Curriculum[list[Exchange]]) -> None:
    talks = [talk for seed in range(24) for talk in curriculum.batch(Random(seed), 0.7, 0.0, few=1.0)]
    assert len(talks) == 192 and max(len(pictures(talk)) for talk in talks) == 1
    described = [exchange.answer for talk in talks for exchange in talk if exchange.answer.startswith("There is a")]
    assert described and all(answer.count(" a") <= 5 for answer in described)
    about = [look.boxes for talk in talks for exchange in talk for look in exchange.looks]
    assert {1, 2, 3} <= {len(boxes) for boxes in about}
    assert all(0 <= edge <= 1 for boxes in about for box in boxes for edge in box)


def test_sliced_pictures(curriculum: Curriculum[list[Exchange]]) -> None:
    batches = [curriculum.batch(Random(seed), KINDS["sliced"], 0.0) for seed in range(9)]
    for batch in batches:
        counts = [len(picture.pieces) for talk in batch for picture in pictures(talk)]
        assert (
            len(counts) == len(batch) and sum(counts[:-1]) < 12 <= sum(counts) and 1 <= min(counts) <= max(counts) <= 5
        )
    assert any(exchange.question in language.READ and len(exchange.answer) > 20
               for batch in batches for (exchange, *_) in batch)  # fmt: skip


def test_pairs(curriculum: Curriculum[list[Exchange]]) -> None:
    talks = curriculum.batch(Random(3), KINDS["pairs"], 0.0)
    assert talks and all(len(pictures(talk)) in (2, 3) and len(talk[0].pictures) >= 2 for talk in talks)


def test_a_pair_is_told_apart_by_what_only_one_shows(curriculum: Curriculum[list[Exchange]]) -> None:
    def at(name: str, colour: str) -> Thing:
        return Thing("shape", name, colour, (0.4, 0.4, 0.6, 0.6))

    shown = [[at("star", "red"), at("circle", "blue")], [at("star", "red"), at("heart", "pink")], [at("cross", "red")]]
    only = {"circle": "the first", "heart": "the second", "cross": "the third"}
    for seed in range(30):
        asked: Any = curriculum._pair(Random(seed), showing(*shown))
        for exchange in asked:
            number = next((n for n, word in enumerate(("first", "second", "third")) if word in exchange.question), 0)
            if exchange.answer.startswith("the "):
                names = [name for name in only if name in exchange.question]
                # With two pictures there is no third.
                assert [only[name] for name in names] == [exchange.answer]
            else:
                assert all(thing.name in exchange.answer for thing in shown[number])


def test_examples_come_first_and_are_not_learned(curriculum: Curriculum[list[Exchange]]) -> None:
    for seed in range(4):
        for talk in curriculum.batch(Random(seed), KINDS["shots"], 0.0):
            assert len(talk) in (3, 4) and [len(exchange.pictures) for exchange in talk] == [1] * len(talk)
            assert [exchange.learn for exchange in talk] == [False] + [True] * (len(talk) - 1)
            assert len({exchange.question for exchange in talk}) == 1


def test_examples_have_one_form(curriculum: Curriculum[list[Exchange]]) -> None:
    star = Thing("shape", "star", "red", (0.4, 0.4, 0.6, 0.6))
    forms = {"red", "star", "red star", "a red star", "star, red", "红色的星形"}
    seen = set()
    for seed in range(60):
        rng = Random(seed)
        if rng.random() < 0.25:
            continue  # things, not shapes
        talk: Any = curriculum._shots(Random(seed), showing(*[[star]] * 4))
        (answer,) = {exchange.answer for exchange in talk}
        seen.add(answer)
    assert seen == forms


def test_conversations_that_go_on_with_another_picture(curriculum: Curriculum[list[Exchange]]) -> None:
    counts = set()
    for seed in range(12):
        talks = curriculum.batch(Random(seed), KINDS["sequels"], 0.0)
        for talk in talks:
            shown = [number for number, exchange in enumerate(talk) for _ in exchange.pictures]
            clip = len(talk[0].pictures) > 1
            assert shown[0] == 0 and len(set(shown)) == (2 if clip else len(shown)) >= 2
            assert all(exchange.learn and exchange.answer for exchange in talk)
            for number, exchange in enumerate(talk):
                last = sum(at <= number for at in shown) - 1
                assert {look.picture for look in exchange.looks} <= {last}
            counts.add(2 if clip else len(shown) + 10)
            if clip:
                assert 8 <= len(talk[0].pictures) <= 16
    assert counts == {2, 12, 13}, "behind a clip, second pictures and third ones"
    writer: Any = curriculum.writer
    assert set(writer.numbered) == {True, False}


def test_clips(curriculum: Curriculum[list[Exchange]]) -> None:
    talks = [talk for seed in range(3) for talk in curriculum.batch(Random(seed), KINDS["clips"], 0.0)]
    assert talks and all(
        8 <= len(talk[0].pictures) <= 16 and len(talk[0].pictures) == len(pictures(talk)) for talk in talks
    )
    writer: Any = curriculum.writer
    assert not any(writer.numbered)


def moved(frames: Sequence[np.ndarray]) -> str:
    """Which way what moves went, by what differs from the ground."""
    ground = np.median(frames, axis=0)
    centres = []
    for frame in (frames[0], frames[-1]):
        off = np.abs(frame - ground).sum(-1)
        centres.append(np.argwhere(off > 0.6 * off.max()).mean(0))
    down, across = centres[1] - centres[0]
    if abs(down) > abs(across):
        return "down" if down > 0 else "up"
    return "right" if across > 0 else "left"


def test_what_moves_goes_where_the_answer_says(curriculum: Curriculum[list[Exchange]]) -> None:
    ways = []
    for seed in range(8):
        frames, asked = curriculum._clip(Random(seed), (12, 12), False)
        answers = {lesson.answer for lesson in asked}
        (way,) = answers & {"left", "right", "up", "down"}
        (colour,) = answers & set(NAMES)
        assert moved([frame.pieces[0].astype(float) for frame in frames]) == way
        assert all(lesson.answer in (way, colour) or colour in lesson.answer for lesson in asked)
        ways.append(way)
    assert len(set(ways)) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_batch(
    supplies: Supplies, tokenizer: Tokenizer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICES", 4)
    curriculum = Curriculum(supplies, TokenWriter(tokenizer))
    first, second, other = (curriculum.batch(Random(seed), KINDS[kind], 0.0) for seed in (5, 5, 6))
    assert [(one.ids, one.labels, one.places) for one in first] == [(one.ids, one.labels, one.places) for one in second]
    for one, same in zip(first, second, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.pieces, same.pieces, strict=True))
        assert len(one.places) == len(one.pieces) and any(label != -100 for label in one.labels)
    assert [one.ids for one in first] != [one.ids for one in other]


def test_pictures_are_whole_or_as_large_as_they_were_drawn(curriculum: Curriculum[list[Exchange]]) -> None:
    for seed in range(4):
        for talk in curriculum.batch(Random(seed), KINDS["shots"], 0.0):
            for picture in pictures(talk):
                sizes = [Image.fromarray(piece).size for piece in picture.pieces]
                assert sizes == picture.plan.sizes
                assert len(sizes) == 1 or (picture.image is not None and picture.image.size != sizes[0])
