from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace as Of
from typing import Any

import pytest

from app.remote.failures import BrokenOff
from app.remote.reading import Meter, Piece, read_event, read_stream
from tests.waiting import awaited


def event(content: str | None = None, reason: str | None = None, usage: Any = None, **delta: Any) -> Any:
    return Of(choices=[Of(delta=Of(content=content, **delta), finish_reason=reason)], usage=usage)


def pieces(*events: Any) -> list[Piece]:
    async def stream() -> AsyncIterator[Any]:
        for each in events:
            yield each

    async def read() -> list[Piece]:
        return [piece async for piece in read_stream(stream())]

    return awaited(read())


def test_roles_and_empty_texts_and_usage_without_choices() -> None:
    usage = Of(completion_tokens=2)
    events = event(""), event(None), event("a"), event("b"), event("", "stop"), Of(choices=[], usage=usage)
    assert pieces(*events) == [Piece("a"), Piece("b"), Piece(finish_reason="stop"), Piece(usage=usage)]


@pytest.mark.parametrize(("told", "reason"), [("stop", "stop"), ("length", "length"), ("eos", "stop")])
def test_reasons(told: str, reason: str) -> None:
    assert read_event(event("a", told)).finish_reason == reason


def test_a_stream_without_a_reason_broke_off() -> None:
    with pytest.raises(BrokenOff):
        pieces(event("a"), event("b"))


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_an_engine_that_gives_up_broke_off(reason: str) -> None:
    with pytest.raises(BrokenOff):
        pieces(event("a"), event("", reason))


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thinking_is_no_part_of_the_answer(name: str) -> None:
    assert read_event(event(None, **{name: "hm"})) == Piece(thinking="hm")


def test_a_whole_answer_is_read_as_well() -> None:
    answer = Of(choices=[Of(message=Of(content="all"), finish_reason="stop"), Of(message=Of(content="worse"))])
    assert read_event(answer) == Piece("all", finish_reason="stop")


def test_an_engine_that_does_not_count() -> None:
    meter = Meter()
    assert not meter.started and meter.usage(None).ttft is None
    for _ in range(3):
        meter.tick()
    usage = meter.usage(None)
    assert meter.started and usage.new_tokens == 3 and usage.vision_tokens is None and usage.longest_gap is not None


def test_what_an_engine_counts() -> None:
    details = Of(cached_tokens=7, image_tokens=64)
    told = Of(prompt_tokens=90, completion_tokens=5, prompt_tokens_details=details)
    meter = Meter()
    meter.tick()
    usage = meter.usage(told)
    assert (usage.prompt_tokens, usage.new_tokens, usage.cached_tokens, usage.vision_tokens) == (90, 5, 7, 64)
