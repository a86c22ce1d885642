"""What the ingress itself answers, without a Ray behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from app.replicas.ingress import make_ingress
from app.replicas.relay import Relay
from app.replicas.tunnel import Head
from app.settings import Settings
from tests.waiting import awaited

SETTINGS = Settings(model="m", backend="echo", api_only=True)
FAILED = "away: The engine at http://10.0.0.7:8000 does not answer."


class States:
    """Replicas of which only their states are asked."""

    def __init__(self, *states: str) -> None:
        self._states = list(states)

    async def states(self) -> list[str]:
        return self._states


def health(settings: Settings, *states: str) -> httpx.Response:
    replicas: Any = States(*states)

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(make_ingress(replicas, settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingress") as client:
            return await client.get("/health")

    return awaited(get())


@pytest.mark.parametrize(("states", "status"), [(("ready", FAILED), 200), ((FAILED,), 503)])
def test_what_is_the_matter_is_told_where_no_key_is_asked_for(
    states: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = health(SETTINGS, *states)
    assert told.status_code == status and "10.0.0.7" in told.json()["detail"]
    monkeypatch.setenv("MY_KEY", "sekret")
    locked = health(replace(SETTINGS, api_key_env="MY_KEY"), *states)
    ready = states.count("ready")
    assert locked.status_code == status and locked.json()["detail"] == f"{ready} of {len(states)} replicas ready"


def test_bodies_are_bounded_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.intake.MAX_BODIES", 0)
    replicas: Any = States()

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(make_ingress(replicas, SETTINGS))
        async with httpx.AsyncClient(transport=transport, base_url="http://ingress") as client:
            return await client.post("/v1/chat/completions", json={"messages": []})

    refusal = awaited(post())
    assert refusal.status_code == 429 and refusal.headers["retry-after"]


class Slow:
    """Replicas that answer when they are let; what is asked to stream streams."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()

    async def reply(self, conversation: str, asked: Any) -> Response:
        self.asked += 1
        if b'"stream": true' in asked.body:
            return Relay("a1", Head(200, ()), self._pieces(), lambda: self._pieces())
        await self.go.wait()
        return Response(b"answer")

    async def _pieces(self) -> AsyncGenerator[str | Head | bytes, None]:
        yield b": still at it\n\n"
        await self.go.wait()
        yield b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
        await asyncio.Event().wait()


@pytest.mark.parametrize("streams", [False, True])
def test_bodies_are_bounded_while_they_wait_for_their_answers(streams: bool) -> None:
    """Room for two of the largest, which are 4 MB here, is room for two of 3 MB."""

    async def run() -> None:
        replicas: Any = Slow()
        transport = httpx.ASGITransport(make_ingress(replicas, replace(SETTINGS, max_file_size=1)))
        body = b'{"stream": %s, "pad": "%s"}' % (b"true" if streams else b"false", b"x" * 3 * 1024**2)

        async with httpx.AsyncClient(transport=transport, base_url="http://ingress") as client:

            def post() -> asyncio.Task[httpx.Response]:
                asking = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
                return asyncio.create_task(asking)

            first = [post(), post()]
            while replicas.asked < 2:
                await asyncio.sleep(0.01)
            refusal = await post()
            assert refusal.status_code == 429 and refusal.headers["retry-after"]
            replicas.go.set()
            if not streams:
                assert [(await reply).status_code for reply in first] == [200, 200]
            # There is room again, though the streams go on.
            last = post()
            while replicas.asked < 3:
                assert not last.done(), last.result().text
                await asyncio.sleep(0.01)
            for task in [*first, last]:
                task.cancel()
            await asyncio.gather(*first, last, return_exceptions=True)

    awaited(asyncio.wait_for(run(), 60))
