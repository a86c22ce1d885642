"""The official client, run on a loop of its own so that any thread can ask and any answer can be broken off."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import httpx
import openai

Result = TypeVar("Result")

CONNECT_TIMEOUT = 5.0  # seconds
# Seconds that a connection is kept for the next request. Servers close theirs after 5, which is the client's own
# number too: a request on a connection that is just being closed is lost.
KEPT_OPEN = 2.0
# Connections kept so: httpx looks at each of them at every begin and end of a request, which with 64 takes half a
# second when all of them are wanted again at once.
KEPT = 8
SILENCE_TIMEOUT = 600.0  # seconds without a sign from an engine that is connected: it may have a long queue


def make_client(url: str, key: str) -> openai.AsyncOpenAI:
    """A client of one server.

    Nothing but what is given here is sent: the environment's keys are for another service.

    Args:
        url: without /v1.
        key: the API key; empty is none.
    """
    # With this set to debug, the client would log what is asked.
    logging.getLogger("openai").setLevel(logging.WARNING)
    nothing: Any = openai.Omit()
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=KEPT, keepalive_expiry=KEPT_OPEN)
    return openai.AsyncOpenAI(
        http_client=openai.DefaultAsyncHttpxClient(limits=limits),
        api_key=key or "none",  # the client insists on one
        admin_api_key="",
        base_url=f"{url}/v1",
        default_headers={"OpenAI-Organization": nothing, "OpenAI-Project": nothing},
        max_retries=0,  # whether to try again is the backend's choice
        timeout=openai.Timeout(SILENCE_TIMEOUT, connect=CONNECT_TIMEOUT),
    )


class Loop:
    """A thread with an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="engine-client", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin; cancelling the future cancels the work at once."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Cancel all work and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._cancel_all)
            self._thread.join(5.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _cancel_all(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_later(0.1, self._loop.stop)
