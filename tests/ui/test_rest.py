from __future__ import annotations

import asyncio

import gradio as gr
import pytest
from gradio_client import Client

from app.ui import rest as resting
from app.ui.rest import AWAKE, rest


def shout(word: str) -> str:
    return word.upper()


@pytest.fixture
def demo() -> gr.Blocks:
    with gr.Blocks() as demo:
        gr.api(shout)
    demo.queue()
    return demo


def test_an_event_wakes_the_queue_for_a_while(demo: gr.Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "TIRED", 0.5)
    queue, pushed = demo._queue, []

    async def push(*args: object, **named: object) -> str:
        pushed.append((args, named, queue.sleep_when_free))
        return "its answer"

    queue.push = push
    rest(demo)
    assert queue.sleep_when_free == 0.05

    async def two_events() -> None:
        assert await queue.push("event", user=1) == "its answer"
        await asyncio.sleep(0.3)
        await queue.push("another")
        await asyncio.sleep(0.3)
        assert queue.sleep_when_free == AWAKE, "the first event's time has passed, not the other's"
        await asyncio.sleep(0.4)

    asyncio.run(two_events())
    assert pushed == [(("event",), {"user": 1}, AWAKE), (("another",), {}, AWAKE)]
    assert queue.sleep_when_free == 0.05


def test_a_pace_that_is_slower_by_itself_is_kept(demo: gr.Blocks) -> None:
    demo._queue.sleep_when_free = demo._queue.progress_update_sleep_when_free = 0.2
    rest(demo)
    assert demo._queue.sleep_when_free == demo._queue.progress_update_sleep_when_free == 0.2


def test_a_resting_queue_answers(demo: gr.Blocks) -> None:
    rest(demo)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        assert Client(url, verbose=False).predict("hello", api_name="/shout") == "HELLO"
        assert demo._queue.sleep_when_free == AWAKE
    finally:
        demo.close()
