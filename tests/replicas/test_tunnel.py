from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

from app.replicas.tunnel import Asked, Head, reply_of
from tests.waiting import awaited


def request() -> Asked:
    return Asked("POST", "/v1/x", b"a=1", ((b"content-type", b"text/plain"),), b"question", "10.0.0.1")


async def gathered(app: Any) -> tuple[Head, bytes]:
    head, *pieces = [piece async for piece in reply_of(app, request())]
    assert isinstance(head, Head)
    return head, b"".join(piece for piece in pieces if isinstance(piece, bytes))


def test_an_application_sees_the_request_and_its_reply_arrives() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope, body=(await receive())["body"])
        await Response(b"answer", 201, {"x-a": "b"})(scope, receive, send)

    head, body = awaited(gathered(app))
    assert (seen["method"], seen["path"], seen["query_string"], seen["body"]) == ("POST", "/v1/x", b"a=1", b"question")
    assert seen["client"][0] == "10.0.0.1" and (b"content-type", b"text/plain") in map(tuple, seen["headers"])
    assert (head.status, body) == (201, b"answer") and (b"x-a", b"b") in head.headers


def test_the_body_is_not_kept_while_it_is_answered() -> None:
    asked, kept = request(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"question"
        kept.append(asked.body)
        await Response(b"answer")(scope, receive, send)

    async def run() -> None:
        assert [piece async for piece in reply_of(app, asked)]

    awaited(run())
    assert kept == [b""]


def test_nothing_is_lost_of_a_long_stream() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def numbers() -> Any:
            for number in range(1000):
                yield b"%d," % number

        await StreamingResponse(numbers())(scope, receive, send)

    _, body = awaited(gathered(app))
    assert body == b"".join(b"%d," % number for number in range(1000))


def test_the_first_words_come_before_the_last_are_written() -> None:
    async def run() -> None:
        more = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await more.wait()
            await send({"type": "http.response.body", "body": b"last", "more_body": False})

        reply = reply_of(app, request())
        assert isinstance(await anext(reply), Head) and await anext(reply) == b"first"
        more.set()
        assert [piece async for piece in reply] == [b"last"]

    awaited(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize("full", [False, True])
def test_a_reader_that_goes_is_a_client_that_hangs_up(full: bool) -> None:
    async def run() -> list[str]:
        ends: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1000 if full else 0):
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            ends.append((await receive())["type"])

        reply = reply_of(app, request())
        await anext(reply)
        await asyncio.sleep(0)
        await reply.aclose()
        return ends

    assert awaited(asyncio.wait_for(run(), 30)) == ["http.disconnect"]


def test_an_error_of_the_application_is_raised() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        awaited(gathered(app))
