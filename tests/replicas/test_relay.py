"""What becomes of a request whose replica is lost or has failed, with replicas that play a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest
from ray.exceptions import RayActorError
from starlette.responses import Response

from app.api.completion import SIGN_OF_LIFE
from app.replicas.relay import Relay, ReplicaLost, Replicas
from app.replicas.tunnel import Asked, Head
from tests.waiting import awaited

ASKED = Asked("POST", "/v1/chat/completions", b"", (), b"question", "10.0.0.1")
STREAM = Head(200, ((b"content-type", b"text/event-stream"),))
FAILED = Head(503, ((b"content-type", b"application/json"),))
LOST = RayActorError()


def event(**fields: Any) -> bytes:
    return f"data: {json.dumps({'id': 'x', 'choices': []} | fields)}\n\n".encode()


def error(code: str) -> bytes:
    return json.dumps({"error": {"message": "No.", "code": code}}).encode()


def word(text: str) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])


ROLE = event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
PROGRESS = event(progress={"stage": "queue", "done": 0, "total": 2}, usage=None)
LIFE, END = SIGN_OF_LIFE.encode(), b"data: [DONE]\n\n"
ANSWER = [STREAM, ROLE + word("Yes"), word("."), END]


class Answer:
    """What Ray returns for one request."""

    def __init__(self, script: list[Any]) -> None:
        self._script = script
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        for piece in self._script:
            await asyncio.sleep(0)
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            yield piece

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    """A deployment whose requests go to one script after another; each begins with the replica's name."""

    def __init__(self, *scripts: list[Any]) -> None:
        self._scripts = [[f"r{number}", *script] for number, script in enumerate(scripts)]
        self.sessions: list[str] = []
        self.answers: list[Answer] = []
        self._session = ""

    def options(self, session_id: str = "", **others: Any) -> Handle:
        self._session = session_id
        return self

    def remote(self, asked: Asked) -> Answer:
        assert asked.body == b"question"
        self.sessions.append(self._session)
        self.answers.append(Answer(self._scripts[len(self.answers)]))
        return self.answers[-1]


async def sent(reply: Response) -> bytes:
    """The body that a client gets who stays."""
    bodies: list[bytes] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        bodies.append(message.get("body", b""))

    await reply({"type": "http"}, receive, send)
    return b"".join(bodies)


def answered(handle: Handle) -> bytes:
    async def run() -> bytes:
        return await sent(await Replicas(handle).reply("talk", ASKED))

    return awaited(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize(
    "before",
    [[], [STREAM], [STREAM, LIFE], [STREAM, ROLE, PROGRESS, PROGRESS], [STREAM, ROLE + PROGRESS[:9], PROGRESS[9:]]],
)
def test_a_replica_that_is_lost_before_its_answer_has_another_one_asked(before: list[Any]) -> None:
    handle = Handle([*before, LOST], ANSWER)
    body = answered(handle)
    assert body.endswith(ROLE + word("Yes") + word(".") + END) and body.count(ROLE) == 1
    assert b"error" not in body and all(piece in body for piece in (LIFE, PROGRESS) if piece in b"".join(before[1:]))
    assert [session.split() for session in handle.sessions] == [["talk"], ["talk", "r0"]]
    assert all(answer.cancelled for answer in handle.answers)


@pytest.mark.parametrize("said", [word("Yes"), event(choices=[{"delta": {"reasoning_content": "Hm"}}])])
def test_a_replica_that_is_lost_in_its_answer_ends_it(said: bytes) -> None:
    handle = Handle([STREAM, PROGRESS, ROLE, said, LOST], ANSWER)
    body = answered(handle)
    assert body.startswith(PROGRESS + ROLE + said) and b'"replica_lost"' in body and body.endswith(END)
    assert len(handle.answers) == 1


@pytest.mark.parametrize("first", [[STREAM, PROGRESS, LOST], [LOST]])
def test_there_is_no_third_try(first: list[Any]) -> None:
    body = answered(Handle(first, [STREAM, ROLE, PROGRESS, LOST], ANSWER))
    assert b'"replica_lost"' in body and body.endswith(END)


def test_two_that_are_lost_before_they_reply_are_an_error() -> None:
    with pytest.raises(ReplicaLost):
        answered(Handle([LOST], [LOST], ANSWER))


def test_what_another_one_refuses_is_the_last_event() -> None:
    body = answered(Handle([STREAM, PROGRESS, LOST], [Head(429, ()), error("queue_full")]))
    assert body == PROGRESS + b"data: " + error("queue_full") + b"\n\n" + END


def test_a_stream_without_an_answer_arrives_whole() -> None:
    for script in ([ROLE, LIFE, END], [ROLE, b"data: {"], [b"data: " + error("answer_failed") + b"\n\n" + END]):
        pieces = b"".join(script)
        body = answered(Handle([STREAM, *script]))
        assert sorted(body.split(b"\n\n")) == sorted(pieces.split(b"\n\n"))


@pytest.mark.parametrize("second", [ANSWER, [Head(200, ()), b"Yes."]])
def test_a_failed_replica_is_left_for_another_one(second: list[Any]) -> None:
    handle = Handle([FAILED, error("model_failed")], second)
    assert b"Yes" in answered(handle)
    assert [session.split() for session in handle.sessions] == [["talk"], ["talk", "r0"]]


def test_where_all_have_failed_they_say_so() -> None:
    async def run() -> Response:
        return await Replicas(Handle(*[[FAILED, error("model_failed")]] * 3)).reply("talk", ASKED)

    reply = awaited(run())
    assert reply.status_code == 503 and reply.body == error("model_failed")


@pytest.mark.parametrize("body", [error("out_of_memory"), b"busy", b"[]"])
def test_what_passes_is_not_asked_again(body: bytes) -> None:
    handle = Handle([FAILED, body], ANSWER)
    assert answered(handle) == body and len(handle.answers) == 1


def test_the_request_is_held_until_its_answer_begins() -> None:
    async def run() -> list[tuple[bytes, bool]]:
        more, seen, held = asyncio.Event(), [], ExitStack()
        given_back = asyncio.Event()
        held.callback(given_back.set)
        reply = await Replicas(Handle([STREAM, PROGRESS, LOST], [STREAM, ROLE + word("Yes"), more, END])).reply(
            "talk", ASKED
        )
        assert isinstance(reply, Relay)
        reply.hold(held)

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            seen.append((message.get("body", b""), given_back.is_set()))
            if b"Yes" in seen[-1][0]:
                more.set()

        await reply({"type": "http"}, receive, send)
        return seen

    seen = awaited(asyncio.wait_for(run(), 30))
    assert (PROGRESS, False) in seen and (ROLE + word("Yes"), True) in seen


def test_a_client_that_hangs_up_ends_the_second_try_too() -> None:
    async def run() -> tuple[Handle, bool]:
        gone, never = asyncio.Event(), asyncio.Event()
        handle = Handle([STREAM, PROGRESS, LOST], [STREAM, PROGRESS, never])
        held, given_back = ExitStack(), asyncio.Event()
        held.callback(given_back.set)
        reply = await Replicas(handle).reply("talk", ASKED)
        assert isinstance(reply, Relay)
        reply.hold(held)
        bodies = 0

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal bodies
            bodies += message.get("body") == PROGRESS
            if bodies == 2:
                gone.set()

        await reply({"type": "http"}, receive, send)
        return handle, given_back.is_set()

    handle, given_back = awaited(asyncio.wait_for(run(), 30))
    assert [answer.cancelled for answer in handle.answers] == [True, True] and given_back
