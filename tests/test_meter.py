"""What is proposed where an answer found no room; a measure made of sums stands in for a model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.backends.echo import EchoBackend
from app.errors import ContextLengthError, MediaError, OutOfMemoryError
from app.messages import Image, Message, Text, Video
from app.meter import Fix, Measured, way_out
from app.sampling import SamplingParams
from app.session import Session

PARAMS = SamplingParams(max_slice_nums=9, max_frames=64)
PICTURE, CLIP = Image(Path("a.png")), Video(Path("a.mp4"))
TALK = [Message.of("user", "before"), Message.of("assistant", "yes"), Message.of("user", PICTURE, "?")]


def measure(messages: Sequence[Message], params: SamplingParams) -> Measured:
    """100 bytes and tokens a slice, 10 a frame, 300 a text that is no question mark."""
    parts = [part for message in messages for part in message.content]
    pictures = sum(isinstance(part, Image) for part in parts) * 100 * params.max_slice_nums
    frames = sum(isinstance(part, Video) for part in parts) * 10 * params.max_frames
    texts = 300 * sum(isinstance(part, Text) and part.text != "?" for part in parts)
    size = pictures + frames + texts
    return Measured(size, 0, (), room=1000, context=2000, memory=size + 50, unforeseen=50, free=10**6)


def test_after_the_memory_ran_out_half_of_it_is_aimed_at() -> None:
    assert measure(TALK, PARAMS).memory == 1550  # 1,500 without what was unforeseen, so 750 are left
    assert way_out(measure, TALK, PARAMS, ran_out=True) == [Fix("max_slice_nums", 1)]
    assert way_out(measure, TALK[-1:], PARAMS, ran_out=True) == [Fix("max_slice_nums", 4)]
    clip = [Message.of("user", CLIP, "?")]
    assert way_out(measure, clip, PARAMS, ran_out=True) == [Fix("max_frames", 32)]


def test_less_is_left_where_less_is_free() -> None:
    tight = lambda messages, params: replace(measure(messages, params), free=250)  # noqa: E731
    assert way_out(tight, TALK[-1:], PARAMS, ran_out=True) == [Fix("max_slice_nums", 2)]


def test_over_the_context_the_room_is_aimed_at() -> None:
    fixes = way_out(measure, TALK, PARAMS, ran_out=False)
    assert fixes == [Fix("max_slice_nums", 4), Fix("leave_out", 1)]


def test_where_nothing_is_known_half_of_everything_is_tried() -> None:
    fixes = way_out(lambda messages, params: None, TALK, PARAMS, ran_out=True)
    assert fixes == [Fix("max_slice_nums", 4), Fix("leave_out", 1)]


class Full(EchoBackend):
    """Has room for nothing."""

    def __init__(self, error: Exception, measured=measure) -> None:
        super().__init__(delay=0)
        self.error, self.measured = error, measured

    def stream(self, messages, params, user=""):
        raise self.error
        yield

    def measure(self, messages, params):
        return self.measured(messages, params)


def failed(session: Session, backend: Full) -> tuple[Fix, ...]:
    list(session.send([PICTURE, Text("?")], PARAMS, backend))
    assert session.turns[-1].error is backend.error
    return session.turns[-1].fixes


@pytest.mark.parametrize("error", [OutOfMemoryError("It is full."), ContextLengthError(1500, 1000)])
def test_a_turn_without_room_knows_what_to_try(error: Exception) -> None:
    assert failed(Session(), Full(error))[0].kind == "max_slice_nums"


def test_turns_that_are_left_out_already_count() -> None:
    session = Session()
    for text in ("one", "two", "three"):
        list(session.send([Text(text)], PARAMS, EchoBackend(delay=0)))
    session.leave_out(1)
    backend = Full(OutOfMemoryError("It is full."), lambda messages, params: None)
    assert Fix("leave_out", 1 + 1) in failed(session, backend)


def test_what_cannot_be_measured_hides_nothing() -> None:
    def gone(messages, params):
        raise MediaError("The file is gone.")

    assert failed(Session(), Full(OutOfMemoryError("It is full."), gone)) == ()
