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


class Server:
    """One server.

    Attributes:
        url: without /v1.
        found: what it is, once it was asked; kept while it is dead.
        error: why it is dead; None if it answers.
        busy: requests it answers now.
        asked: requests it got.
        retry_at: when a dead one is tried again, in seconds of `monotonic`.
    """

    def __init__(self, url: str, client: AsyncOpenAI) -> None:
        self.url = url
        self.client = client
        self.found: Found | None = None
        self.error: AppError | None = None
        self.busy = self.asked = 0
        self.retry_at = 0.0
        self._wait = FIRST_WAIT

    @property
    def up(self) -> bool:
        """Whether it is known and answers."""
        return self.found is not None and self.error is None

    def mark_up(self, found: Found) -> None:
        """It answered."""
        self.found, self.error, self._wait = found, None, FIRST_WAIT

    def mark_down(self, error: AppError) -> None:
        """It does not answer; each time in a row it is left alone for twice as long."""
        self._wait = FIRST_WAIT if self.error is None else min(2 * self._wait, LONGEST_WAIT)
        self.error = error
        self.retry_at = monotonic() + self._wait


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

    def _choose(self, conversation: str, but_not: Collection[Server]) -> Server | None:
        able = [server for server in self.servers if server.up and server not in but_not]
        if not able:
            return None
        least = min(able, key=lambda server: (server.busy, server.asked))
        home = self._homes.get(conversation)
        return home if home in able and home is not None and home.busy <= least.busy + SLACK else least
