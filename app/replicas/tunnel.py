"""A request and its reply as messages between two processes: HTTP without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import ASGIApp, Message

ENDING = 5.0  # seconds that an application has to notice that nobody listens any more
AHEAD = 64  # pieces that it may write before they are taken

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes
    client: str

    def take_body(self) -> bytes:
        """The body, once: whoever still has the request while it is answered has its megabytes no more."""
        body, self.body = self.body, b""
        return body


@dataclass(frozen=True, slots=True)
class Head:
    """How a reply begins."""

    status: int
    headers: Headers


async def reply_of(app: ASGIApp, asked: Asked) -> AsyncGenerator[Head | bytes, None]:
    """An application's reply: its head, then its body piece by piece.

    Closing this, or cancelling who waits for it, is to the application what a client is that hangs up.
    """
    pieces: asyncio.Queue[Head | bytes | None] = asyncio.Queue(AHEAD)
    gone = asyncio.Event()
    task = asyncio.create_task(_run(app, asked, pieces, gone))
    ended = False
    try:
        while not ended:
            # What was written meanwhile goes along: each message between processes costs.
            some = [await pieces.get(), *_at_hand(pieces)]
            ended = some[-1] is None
            if isinstance(some[0], Head):
                yield some[0]
            if body := b"".join(piece for piece in some if isinstance(piece, bytes)):
                yield body
        await task
    finally:
        gone.set()
        _at_hand(pieces)  # it may wait for room
        await asyncio.wait({task}, timeout=ENDING)
        task.cancel()


async def _run(app: ASGIApp, asked: Asked, pieces: asyncio.Queue[Head | bytes | None], gone: asyncio.Event) -> None:
    told = False

    async def receive() -> Message:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": asked.take_body(), "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if gone.is_set():
            return
        if message["type"] == "http.response.start":
            await pieces.put(Head(message["status"], tuple((key, value) for key, value in message.get("headers", ()))))
        elif message.get("body"):
            await pieces.put(bytes(message["body"]))

    try:
        await app(_scope(asked), receive, send)
    finally:
        await pieces.put(None)


def _scope(asked: Asked) -> dict[str, object]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": asked.query,
        "root_path": "",
        "headers": [list(pair) for pair in asked.headers],
        "client": (asked.client, 0),
        "server": None,
    }


def _at_hand(pieces: asyncio.Queue[Head | bytes | None]) -> list[Head | bytes | None]:
    """All that can be taken without waiting."""
    return [pieces.get_nowait() for _ in range(pieces.qsize())]
