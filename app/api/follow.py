"""From the backend's generators, which wait in threads, to the event loop, which must not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import closing, suppress
from time import monotonic
from typing import TypeAlias

from app.api.errors import ApiError, unexpected
from app.errors import AppError, BackendBusyError
from app.messages import Chunk, Progress

MAX_STREAMS = 256  # answers at once, each of which takes a thread
SILENCE = 10.0  # seconds
PROGRESS_EVERY = 0.5  # seconds

Answer: TypeAlias = Callable[[], Generator[Chunk, None, None]]
Step: TypeAlias = tuple[int, Chunk]
Event: TypeAlias = Step | AppError | None  # None is the end of one answer


class _Pace:
    """Lets progress through where its stage is new, and else now and then."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._due = 0.0

    def lets(self, progress: Progress) -> bool:
        """Whether it is to be told."""
        new = self._last is None or progress.stage != self._last.stage
        if not new and (progress == self._last or monotonic() < self._due):
            return False
        self._last, self._due = progress, monotonic() + PROGRESS_EVERY
        return True


class Follower:
    """Follows answers, of all requests together at most `MAX_STREAMS`."""

    def __init__(self) -> None:
        self._running = 0
        self._lock = threading.Lock()
        self._queues: set[asyncio.Queue[Event]] = set()

    def end(self) -> None:
        """End all answers with an error, because the server ends; called on the event loop."""
        for events in self._queues:
            events.put_nowait(ApiError("The server is ending.", "Ask again in a while.", 503, "server_ending"))

    async def follow(self, answers: Sequence[Answer], *, progress: bool = False) -> AsyncGenerator[Step | None, None]:
        """The chunks of several answers that bring something, with the answer's number; None after a silence.

        Closing this closes every generator at its next chunk, which ends its generation within one token.

        Args:
            progress: of the first answer, what tells how far it is brings something too.

        Raises:
            AppError: an answer failed, which ends all.
        """
        self._enter(len(answers))
        events: asyncio.Queue[Event] = asyncio.Queue()
        stop = threading.Event()
        loop = asyncio.get_running_loop()

        def put(event: Event) -> None:
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(events.put_nowait, event)

        started = 0
        try:
            for number, answer in enumerate(answers):
                pace = _Pace() if progress and number == 0 else None
                work = threading.Thread(
                    target=self._run, args=(number, answer, put, stop.is_set, pace), name="api-answer", daemon=True
                )
                work.start()
                started += 1
            running = started
            self._queues.add(events)
            while running:
                try:
                    # No `wait_for`: a hang-up that comes just behind a chunk would be lost in it.
                    async with asyncio.timeout(SILENCE):
                        event = await events.get()
                except TimeoutError:
                    yield None
                    continue
                if isinstance(event, AppError):
                    raise event
                running -= event is None
                if event is not None:
                    yield event
        finally:
            stop.set()
            self._queues.discard(events)
            with self._lock:
                self._running -= len(answers) - started

    def _enter(self, count: int) -> None:
        with self._lock:
            if self._running + count > MAX_STREAMS:
                raise BackendBusyError(f"{self._running} answers are being written or wait.", "Try again in a while.")
            self._running += count

    def _run(
        self,
        number: int,
        answer: Answer,
        put: Callable[[Event], None],
        stopped: Callable[[], bool],
        pace: _Pace | None,
    ) -> None:
        end: AppError | None = None
        try:
            with closing(answer()) as chunks:
                for chunk in chunks:
                    if stopped():
                        break
                    if _brings_something(chunk, pace):
                        put((number, chunk))
        except AppError as error:
            end = error
        except Exception as cause:
            end = unexpected(cause)
        finally:
            with self._lock:
                self._running -= 1
        put(end)


def _brings_something(chunk: Chunk, pace: _Pace | None) -> bool:
    if chunk.text or chunk.thinking or chunk.logprobs or chunk.finish_reason or chunk.notices:
        return True
    return pace is not None and chunk.progress is not None and pace.lets(chunk.progress)
