"""From threads to the event loop: an answer ends with whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore
from time import sleep
from typing import Any

import httpx
import pytest

from app.api.follow import Follower
from app.api.service import READERS, ChatService
from app.messages import Chunk
from tests.api.conftest import Server, asked


@pytest.mark.parametrize("turns", range(6))
def test_a_hang_up_right_behind_a_chunk_is_not_lost(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many turns of the loop lie between."""

    def answer() -> Generator[Chunk, None, None]:
        for number in range(40):
            yield Chunk(f"{number} ")
            sleep(0.005)

    async def ask() -> int:
        loop = asyncio.get_running_loop()
        told = 0

        async def read() -> None:
            nonlocal told
            async for _ in Follower().follow([answer]):
                told += 1

        def hang_up(left: int) -> None:
            if left:
                loop.call_soon(hang_up, left - 1)
            else:
                reading.cancel()

        put = asyncio.Queue.put_nowait
        chunks = 0

        def put_and_hang_up(queue: Any, event: Any) -> None:
            nonlocal chunks
            put(queue, event)
            chunks += 1
            if chunks == 5:
                hang_up(turns)

        monkeypatch.setattr(asyncio.Queue, "put_nowait", put_and_hang_up)
        reading = asyncio.create_task(read())
        with pytest.raises(asyncio.CancelledError):
            await reading
        return told

    assert asyncio.run(ask()) <= 6


def test_reading_for_who_has_hung_up_keeps_its_place(echo: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread cannot be stopped, and holds the request's pictures: another is not read in its place."""
    inside, go_on = Semaphore(0), Event()
    read = ChatService._read

    def slow(self: ChatService, *args: Any) -> Any:
        inside.release()
        go_on.wait(30)
        return read(self, *args)

    monkeypatch.setattr(ChatService, "_read", slow)
    for _ in range(READERS):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{echo.url}/v1/chat/completions", json=asked("x"), timeout=0.3)
        assert inside.acquire(timeout=30)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.post, f"{echo.url}/v1/chat/completions", json=asked("x"), timeout=60)
        assert not inside.acquire(timeout=1)
        go_on.set()
        assert waiting.result().status_code == 200
