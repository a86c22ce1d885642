"""Which server answers: the least loaded, but a conversation stays where its cache is; dead ones are left out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from app.errors import AppError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from app.remote.detect import Found

SLACK = 4  # requests that a server may have more than the least loaded one before conversations leave it
REMEMBERED = 10_000  # conversations
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds until a dead server is tried again, doubled each time
IDLE_WAIT = 15.0  # seconds until one that answers is looked at again: it may die or be replaced while nobody asks


class Server:
    """One server.

    Attributes:
        url: without /v1.
        found: what it is, once it was asked; kept while it is dead.
        error: why it is dead; None if it answers.
        busy: requests it answers now.
        asked: requests it got.
        retry_at: when it is looked at again, in seconds of `monotonic`.
    """

    def __init__(self, url: str, client: AsyncOpenAI) -> None:
        self.url = url
        self.client = client
        self.found: Found | None = None
        self.error: AppError | None = None
        self.busy = self.asked = 0
        self.retry_at = 0.0
        self._wait = FIRST_WAIT
        self._lock = Lock()

    @property
    def up(self) -> bool:
        """Whether it is known and answers."""
        return self.found is not None and self.error is None

    @property
    def due(self) -> bool:
        """Whether to look at it now; one that is busy answers, and may be slow to say what it is."""
        return self.retry_at <= monotonic() and not (self.up and self.busy)

    def mark_up(self, found: Found) -> None:
        """It answered."""
        with self._lock:
            self.found, self.error, self._wait = found, None, FIRST_WAIT
            self.retry_at = monotonic() + IDLE_WAIT

    def leave_alone(self) -> None:
        """What a look at it came to is not used; if it answers, the next one is not at once."""
        with self._lock:
            if self.error is None:
                self.retry_at = monotonic() + IDLE_WAIT

    def mark_down(self, error: AppError) -> None:
        """It does not answer; each time that it was tried again in vain it is left alone for twice as long.

        Args:
            error: shown to everybody, so without what one of them asked.
        """
        with self._lock:
            now, down = monotonic(), self.error is not None
            self.error = error
            if down and now < self.retry_at:
                return  # the same outage: all its answers break at once
            self._wait = min(2 * self._wait, LONGEST_WAIT) if down else FIRST_WAIT
            self.retry_at = now + self._wait


class Pool:
    """All servers; may be used from any thread."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = tuple(servers)
        self._homes: OrderedDict[str, Server] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def lease(self, conversation: str, but_not: Collection[Server] = ()) -> Iterator[Server | None]:
        """A server to ask, counted as busy meanwhile; None if none is left that answers.

        Args:
            conversation: what is the same for all requests that share a cache.
            but_not: those that were tried already.
        """
        with self._lock:
            server = self._choose(conversation, but_not)
            if server is not None:
                server.busy += 1
                server.asked += 1
                self._homes[conversation] = server
                self._homes.move_to_end(conversation)
                while len(self._homes) > REMEMBERED:
                    self._homes.popitem(last=False)
        try:
            yield server
        finally:
            if server is not None:
                with self._lock:
                    server.busy -= 1

    def settle(self, server: Server, asked: int, seen: Found | AppError) -> bool:
        """Mark a server by what a look at it came to, unless a request that began meanwhile knows better.

        Args:
            asked: its `asked` when the look began.

        Returns:
            whether it was marked.
        """
        with self._lock:  # no request begins meanwhile
            if server.asked != asked or (server.up and server.busy):
                server.leave_alone()
                return False
            if isinstance(seen, AppError):
                server.mark_down(seen)
            else:
                server.mark_up(seen)
            return True

    def _choose(self, conversation: str, but_not: Collection[Server]) -> Server | None:
        able = [server for server in self.servers if server.up and server not in but_not]
        if not able:
            return None
        least = min(able, key=lambda server: (server.busy, server.asked))
        home = self._homes.get(conversation)
        return home if home in able and home is not None and home.busy <= least.busy + SLACK else least
