"""Requests on their way into an engine: their tickets, and the line in which they wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, Queue
from time import monotonic

from app.errors import AppError, BackendBusyError
from app.messages import Chunk, Message
from app.sampling import SamplingParams

MAX_WAITING = 64


@dataclass(slots=True, eq=False)
class Ticket:
    """A request in the engine: where its chunks come out, and how to call it off.

    The last event is a chunk with a finish reason, or the error that ended the answer.

    Attributes:
        begun: some of the answer's text has come out.
    """

    messages: Sequence[Message]
    params: SamplingParams
    events: Queue[Chunk | AppError] = field(default_factory=Queue)
    submitted: float = field(default_factory=monotonic)
    begun: bool = False
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def emit(self, chunk: Chunk) -> None:
        """Hand out a chunk."""
        self.begun = self.begun or bool(chunk.text or chunk.thinking)
        self.events.put(chunk)

    def cancel(self) -> None:
        """End the work within one token; nothing comes out any more."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._cancelled.is_set()


class Line:
    """Tickets in the order they came."""

    def __init__(self) -> None:
        self._waiting: list[Ticket] = []
        self._changed = threading.Condition()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether no more is served."""
        return self._closed

    def submit(self, messages: Sequence[Message], params: SamplingParams) -> Ticket:
        """Queue a request.

        Raises:
            BackendBusyError: too many wait already.
        """
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                raise BackendBusyError(
                    f"{len(self._waiting)} requests wait already, which is the most allowed.", "Try again in a while."
                )
            ticket = Ticket(messages, params)
            self._waiting.append(ticket)
            self._changed.notify_all()
        return ticket

    def position(self, ticket: Ticket) -> int:
        """How many requests wait before this one, itself included; 0 once it is being answered."""
        with self._changed:
            return self._waiting.index(ticket) + 1 if ticket in self._waiting else 0

    def next(self, room: Callable[[], bool] = lambda: True) -> Ticket | None:
        """The next ticket, once there is one and room for it; None when the line was closed."""
        with self._changed:
            self._changed.wait_for(lambda: (self._waiting and room()) or self._closed)
            return None if self._closed else self._waiting.pop(0)

    def wake(self) -> None:
        """Tell whoever waits for room to look again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Serve no more; those who wait are called off."""
        with self._changed:
            self._closed = True
            for ticket in self._waiting:
                ticket.cancel()
            self._changed.notify_all()


class Queued:
    """What every engine that serves a line has in common."""

    def __init__(self) -> None:
        self._line = Line()

    def submit(self, messages: Sequence[Message], params: SamplingParams) -> Ticket:
        """Queue a request.

        Raises:
            BackendBusyError: too many wait already.
        """
        return self._line.submit(messages, params)

    def position(self, ticket: Ticket) -> int:
        """How many requests wait before this one, itself included; 0 once it is being answered."""
        return self._line.position(ticket)


def drain(ticket: Ticket, timeout: float) -> list[Chunk | AppError]:
    """All events there are, waiting at most `timeout` seconds for the first."""
    try:
        events = [ticket.events.get(timeout=timeout)]
    except Empty:
        return []
    while True:
        try:
            events.append(ticket.events.get_nowait())
        except Empty:
            return events
