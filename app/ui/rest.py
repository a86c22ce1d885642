"""How often Gradio's queue looks for work: often while somebody uses the page, seldom while nobody does."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr

AWAKE = 0.005  # seconds between two looks; half of it is what an event waits on the average
ASLEEP = 0.05
TIRED = 10.0  # seconds without an event until it sleeps
PROGRESS = 0.1  # seconds between two looks for progress, which the page does not use


def rest(demo: gr.Blocks) -> None:
    """Have the queue look 200 times a second for ten seconds after an event, else 20 times, where Gradio looks 1,000.

    The server of a page that nobody uses takes a hundredth of a core so; the first event after a while waits 25 ms on
    the average. Those before a question, as the measuring of its draft, have woken the queue when it is sent.
    """
    queue = demo._queue
    push = queue.push
    awake = max(AWAKE, queue.sleep_when_free)  # Gradio's own is longer on Windows
    falling: list[asyncio.TimerHandle] = []

    def sleep() -> None:
        queue.sleep_when_free = max(ASLEEP, awake)

    async def push_awake(*args: Any, **named: Any) -> Any:
        queue.sleep_when_free = awake
        while falling:
            falling.pop().cancel()
        falling.append(asyncio.get_running_loop().call_later(TIRED, sleep))
        return await push(*args, **named)

    queue.push = push_awake
    queue.progress_update_sleep_when_free = max(PROGRESS, queue.progress_update_sleep_when_free)
    sleep()
