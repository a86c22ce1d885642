"""Requests are prepared side by side: a long clip holds up nobody else's start, and changes nobody's answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest
import torch

import app.media.video
from app.engine import admission
from app.engine.admission import MOST_PREPARING
from app.engine.batched import BatchedEngine
from app.engine.plain import PlainEngine
from app.messages import Message, Video
from tests.engine.conftest import loaded_model
from tests.engine.test_batched import golden
from tests.engine.test_inspect import moving
from tests.engine.test_measure import noise
from tests.engine.test_plain import GREEDY, QUESTION, text_of, wait, wait_until

NAME = "minicpm-v-2_6"
SHORT = replace(GREEDY, max_new_tokens=8)


@pytest.fixture
def engine() -> Iterator[BatchedEngine]:
    engine = BatchedEngine(replace(loaded_model(NAME)), cache_bytes=2**26)
    yield engine
    engine.close()


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Clips are decoded only once this is set."""
    go_on, read = Event(), app.media.video.read_frames

    def slow(*arguments: Any, **options: Any) -> Any:
        assert go_on.wait(300)
        return read(*arguments, **options)

    monkeypatch.setattr(app.media.video, "read_frames", slow)
    yield go_on
    go_on.set()


def clips(folder: Path, count: int) -> list[list[Message]]:
    return [[Message.of("user", Video(moving(folder / f"{number}.mp4")), "What?")] for number in range(count)]


def test_a_question_starts_while_another_s_clips_are_decoded(
    engine: BatchedEngine, go_on: Event, tmp_path: Path
) -> None:
    (_, messages, expected), *_ = golden(NAME)
    asked = clips(tmp_path, MOST_PREPARING + 1)
    waiting = [engine.submit(each, SHORT, "films") for each in asked]
    wait_until(lambda: len(engine._admission.preparing) == MOST_PREPARING - 1)
    assert text_of(wait(engine.submit(messages, GREEDY, "other"))) == expected
    assert not go_on.is_set()
    go_on.set()
    got = [text_of(wait(ticket)) for ticket in waiting]
    plain = PlainEngine(replace(loaded_model(NAME)), cache_bytes=0)
    assert got == [text_of(wait(plain.submit(each, SHORT))) for each in asked]
    plain.close()


def test_what_is_prepared_has_its_place_in_the_batch(
    engine: BatchedEngine, go_on: Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MOST_RUNNING", 2)
    for number, messages in enumerate(clips(tmp_path, 2)):
        engine.submit(messages, SHORT, str(number))
    wait_until(lambda: len(engine._admission.preparing) == 2)
    third = engine.submit(QUESTION, SHORT, "third")
    assert engine.place(third)
    go_on.set()
    assert wait(third)[-1].finish_reason


def test_a_small_picture_passes_one_of_many_slices(
    engine: BatchedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encode, device = engine._loaded.model, engine._loaded.model.encode_conversations, Lock()
    begun, ended = list[int](), list[int]()

    def watched(pixels: Any, sizes: Any, on_progress: Any, numbers: Any) -> Any:
        assert device.acquire(blocking=False), "one at a time on the device"
        begun.append(len(sizes[0]))
        if len(sizes[0]) > 1:
            wait_until(lambda: bool(engine._caches.turns._waiting))
            device.release()
            on_progress(1, len(sizes[0]))
            assert device.acquire(blocking=False), "one at a time on the device"
        found = encode(pixels, sizes, lambda done, total: None, numbers)
        ended.append(len(sizes[0]))
        device.release()
        return found

    monkeypatch.setattr(model, "encode_conversations", watched)
    large, small = noise(tmp_path, "large.png", (900, 900)), noise(tmp_path, "small.png", (100, 100))
    asked = [[Message.of("user", picture, "What?")] for picture in (large, small)]
    first = engine.submit(asked[0], SHORT, "a")
    wait_until(lambda: bool(begun))
    second = engine.submit(asked[1], SHORT, "b")
    got = [text_of(wait(ticket)) for ticket in (first, second)]
    assert ended == begun[::-1] and ended[0] == 1 < ended[1]
    monkeypatch.undo()
    plain = PlainEngine(replace(loaded_model(NAME)), cache_bytes=0)
    assert got == [text_of(wait(plain.submit(messages, SHORT))) for messages in asked]
    plain.close()


def test_two_without_memory_wait_for_each_other(engine: BatchedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each succeeds once it is alone."""
    model, encode = engine._loaded.model, engine._loaded.model.encode_conversations
    cases = [case for case in golden(NAME) if "single" in case[0] or "multi" in case[0]][:2]

    def full(*arguments: Any) -> Any:
        if engine._batch.requests:
            raise torch.OutOfMemoryError("out of memory")
        return encode(*arguments)

    monkeypatch.setattr(model, "encode_conversations", full)
    running = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=200, min_new_tokens=200))
    wait_until(lambda: bool(engine._batch.requests))
    tickets = [engine.submit(messages, GREEDY, case) for case, messages, _ in cases]
    for ticket, (case, _, expected) in zip(tickets, cases, strict=True):
        assert text_of(wait(ticket)) == expected, case
    assert wait(running)[-1].finish_reason == "length"
    assert not engine._admission.alone and not engine._admission.preparing
