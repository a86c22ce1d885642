"""What the ingress itself answers, without a Ray behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.replicas.ingress import make_ingress
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
