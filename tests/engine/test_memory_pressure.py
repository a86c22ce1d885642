"""An allocator that fails, in every stage of both engines: what is kept goes, then one request, never the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image as PILImage
from transformers.generation.continuous_batching import ContinuousBatchingManager

from app.engine.admission import MOST_OF_ONE
from app.engine.batched import BatchedEngine
from app.engine.failures import ending_of, with_relief
from app.engine.loader import LoadedModel
from app.engine.plain import PlainEngine
from app.errors import AppError, GenerationError, OutOfMemoryError
from app.messages import Image, Message
from tests.engine.conftest import loaded_model
from tests.engine.test_batched import golden
from tests.engine.test_plain import GREEDY, QUESTION, text_of, wait, wait_until
from tests.variants import briefly

NAME = "minicpm-v-2_6"
ENGINES = {"plain": PlainEngine, "batched": BatchedEngine}
STAGES = ("vision", "prefill", "decode")


class Allocator:
    """Fails as often as it is told to, in one stage of the model's work."""

    def __init__(self, loaded: LoadedModel, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures = 0
        self.failed = 0
        self._wanted: Callable[[dict[str, Any]], bool] = {
            "vision": lambda options: True,
            "prefill": lambda options: _length(options) > 1,
            "decode": lambda options: _length(options) == 1,
        }[stage]
        owner, name = (loaded.model, "encode_conversations") if stage == "vision" else (loaded.model.llm, "forward")
        work = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            if self.failures and self._wanted(options):
                self.failures -= 1
                self.failed += 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return work(*arguments, **options)

        monkeypatch.setattr(owner, name, watched)


def _length(options: dict[str, Any]) -> int:
    """Positions of a step of the language model."""
    given = options["input_ids"] if options.get("inputs_embeds") is None else options["inputs_embeds"]
    return int(given.shape[1])


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    engine = ENGINES[request.param](replace(loaded_model(NAME)), cache_bytes=2**24)
    yield engine
    engine.close()


def asked(name: str = "pub_single_large") -> tuple[list[Message], str]:
    """A golden conversation and its answer."""
    case = next(case for case in golden(NAME) if case[0].endswith(name))
    return case[1], case[2]


@pytest.mark.parametrize("stage", briefly(["vision", "decode"], STAGES))
def test_one_failure_costs_what_is_kept_and_one_that_lasts_the_one_request(
    engine: Any, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a picture, for in the batch every failure of a step costs the whole prompt. The plain engine begins again
    # only where no text is out, as after the first token of the answer about the picture.
    short = stage == "decode" and isinstance(engine, BatchedEngine)
    messages, expected = asked("pub_text_only" if short else "pub_single_large")
    known, other = (Image(PILImage.effect_noise((200, 200), sigma).convert("RGB")) for sigma in (50, 60))
    wait(engine.submit([Message.of("user", known, "What?")], GREEDY))  # something is kept
    allocator = Allocator(engine._loaded, stage, monkeypatch)
    allocator.failures = 1
    assert text_of(wait(engine.submit(messages, GREEDY))) == expected
    assert allocator.failed == 1
    engine._caches.clear_device()
    allocator.failures = 10**6
    # A picture that pages hold would not be encoded.
    lasting = messages if short else [Message.of("user", other, "What?")]
    with pytest.raises(OutOfMemoryError, match="fewer images or frames, fewer slices") as caught:
        wait(engine.submit(lasting, GREEDY))
    assert caught.value.__cause__ is None
    allocator.failures = 0
    assert text_of(wait(engine.submit(messages, GREEDY))) == expected
    if isinstance(engine, BatchedEngine):
        wait_until(lambda: not engine._table.used)


@pytest.mark.parametrize("beams", [pytest.param(1, marks=pytest.mark.thorough), 2])
def test_a_scheduler_that_ends_between_two_requests_is_made_anew(beams: int, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = BatchedEngine(replace(loaded_model(NAME)), cache_bytes=2**24)
    params = replace(GREEDY, num_beams=beams)
    messages, _ = asked("pub_text_only")
    expected = text_of(wait(engine.submit(messages, params)))
    ended = engine._manager

    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr(ended.batch_processor, "prepare_next_batch", fail)
    wait_until(lambda: not ended.is_running())
    assert text_of(wait(engine.submit(messages, params))) == expected
    assert engine._manager is not ended
    engine.close()


def test_who_waits_for_room_gets_it_when_another_is_stopped() -> None:
    messages, expected = asked("pub_text_only")
    engine = BatchedEngine(replace(loaded_model(NAME)), cache_bytes=2**24)
    long = replace(GREEDY, max_new_tokens=400, min_new_tokens=400)
    first = engine.submit(QUESTION, long)
    wait_until(lambda: bool(engine._batch.requests))
    # As the library leaves it when its cache is full and a request has been put back.
    engine._manager.batch_processor.scheduler.block_new_requests = True
    second = engine.submit(messages, GREEDY)
    wait_until(lambda: len(engine._batch.requests) == 2)
    engine.cancel(first)
    assert text_of(wait(second)) == expected
    engine.close()


def test_pictures_of_a_stopped_answer_stay_until_the_scheduler_has_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    messages, expected = asked()
    engine = BatchedEngine(replace(loaded_model(NAME)), cache_bytes=2**24)
    cancelled: list[str] = []
    monkeypatch.setattr(engine._manager, "cancel_request", cancelled.append)  # the scheduler does not hear of it yet
    ticket = engine.submit(messages, replace(GREEDY, max_new_tokens=2000, min_new_tokens=2000))
    wait_until(lambda: bool(engine._batch.requests))
    engine.cancel(ticket)
    wait_until(lambda: bool(cancelled))
    assert engine._table.used
    monkeypatch.undo()
    engine._manager.cancel_request(cancelled[0])
    wait_until(lambda: not engine._table.used)
    assert not engine._leaving
    assert text_of(wait(engine.submit(messages, GREEDY))) == expected
    engine.close()


@pytest.mark.parametrize("where", [pytest.param("make", marks=pytest.mark.thorough), "start"])
def test_an_engine_that_has_failed_for_good_says_so_to_all(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = BatchedEngine(replace(loaded_model(NAME)), cache_bytes=2**24)
    running = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=2000, min_new_tokens=2000))
    wait_until(lambda: bool(engine._batch.requests))
    waiting = [engine.submit(QUESTION, GREEDY) for _ in range(MOST_OF_ONE + 1)]

    def fail(*arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    if where == "make":
        monkeypatch.setattr(engine, "_make_manager", fail)
    else:
        monkeypatch.setattr(ContinuousBatchingManager, "start", fail)
    monkeypatch.setattr(engine._manager.batch_processor, "prepare_next_batch", fail)
    for ticket in [running, *waiting]:
        with pytest.raises(AppError):
            wait(ticket)
    assert engine.has_ended
    with pytest.raises(GenerationError, match="has ended"):
        engine.submit(QUESTION, GREEDY)
    engine.close()


def test_an_error_while_giving_memory_back_ends_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", broken)
    assert isinstance(ending_of(RuntimeError("CUDA error")), GenerationError)


def test_a_picture_waits_for_the_memory_of_those_that_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    messages, expected = asked()
    engine = BatchedEngine(replace(loaded_model(NAME)), cache_bytes=2**24)
    long = replace(GREEDY, max_new_tokens=300, min_new_tokens=300)
    before = engine.submit(QUESTION, long)
    wait_until(lambda: bool(engine._batch.requests))
    encode = engine._loaded.model.encode_conversations

    def full(*arguments: Any) -> Any:
        if engine._batch.requests:
            raise MemoryError
        return encode(*arguments)

    monkeypatch.setattr(engine._loaded.model, "encode_conversations", full)
    chunks = wait(engine.submit(messages, GREEDY))
    assert text_of(chunks) == expected
    assert [chunk.progress.stage for chunk in chunks if chunk.progress].count("queue") == 1
    assert wait(before)[-1].finish_reason == "length"
    engine.close()


def test_reliefs_are_tried_in_order_and_not_once_text_is_out() -> None:
    tried: list[str] = []

    def relief(name: str, helps: bool) -> Callable[[], bool]:
        return lambda: bool(tried.append(name)) or helps

    def work() -> None:
        tried.append("work")
        raise MemoryError

    with pytest.raises(MemoryError):
        with_relief(work, lambda: False, [relief("nothing", False), relief("caches", True), relief("alone", True)])
    assert tried == ["work", "nothing", "caches", "work", "alone", "work"]
    tried.clear()
    with pytest.raises(MemoryError):
        with_relief(work, lambda: True, [relief("caches", True)])
    assert tried == ["work"]


def test_a_request_that_comes_when_the_engine_has_just_ended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was prepared before, so the line no longer has it, and a scheduler that was never started takes it."""
    monkeypatch.setattr("app.engine.batched.MOST_RESTARTS", 1)  # making one takes seconds where much else runs
    engine = BatchedEngine(replace(loaded_model(NAME)), cache_bytes=2**24)
    await_scheduler = engine._await_scheduler

    def fail(*arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    def end_first() -> None:
        await_scheduler()
        monkeypatch.setattr(ContinuousBatchingManager, "start", fail)
        engine._manager.stop(block=True, hard_stop=True)
        engine._restart(RuntimeError("The scheduler has ended."))
        assert engine.has_ended
        while engine._threads[-1].is_alive():  # who ends the answers is through, too
            engine._batch.changed.wait(0.05)

    monkeypatch.setattr(engine, "_await_scheduler", end_first)
    with pytest.raises(GenerationError, match="has ended"):
        wait(engine.submit(QUESTION, GREEDY), 240)
    monkeypatch.undo()
    engine.close()
