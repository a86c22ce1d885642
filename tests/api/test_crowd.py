"""Many at once: every answer comes whole, and to the one who asked."""

from __future__ import annotations

import asyncio
from typing import Any

import openai

from app.backends.echo import EchoBackend
from tests.api.conftest import asked
from tests.waiting import awaited

CROWD = 64


def test_streams_are_neither_lost_nor_mixed_nor_doubled(serve: Any) -> None:
    server = serve(EchoBackend(delay=0.002))

    async def ask(client: openai.AsyncOpenAI, number: int) -> str:
        text = ""
        async for event in await client.chat.completions.create(**asked(f"question {number}"), stream=True):
            text += event.choices[0].delta.content or ""
        return text

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(CROWD)))

    said = awaited(ask_all())
    assert said == [f'Message 1: text "question {number}". Options: all at their defaults.' for number in range(CROWD)]
    assert server.count("minicpmv_answers_total", source="api", end="stop") == CROWD
    assert server.count("minicpmv_answers_running", source="api") == 0
