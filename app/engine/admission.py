"""Which requests the batched engine begins with, how many at once, and which of them wait until they are alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.engine.answer import Job
from app.engine.running import Batch
from app.engine.scheduler import MOST_RUNNING
from app.engine.tickets import Line, Ticket
from app.messages import Chunk, Progress

# Of one user, and of all who share one's turns, so that there is always a place for another.
MOST_OF_ONE, MOST_OF_SHARERS = 24, 28
# Requests that are prepared at once; one user's leave a place for another's, whose question may be short.
MOST_PREPARING = 4
TICK = 0.02


class Admission:
    """Takes requests out of the line while there is room for them.

    Args:
        line: of those who wait. batch: of those who are answered.

    Attributes:
        preparing: requests that have begun and are not in the batch yet.
        alone: of those, the ones that wait until there are no others.
    """

    def __init__(self, line: Line, batch: Batch) -> None:
        self._line, self._batch = line, batch
        self._taking = threading.Lock()
        self.preparing: list[Ticket] = []
        self.alone: list[Ticket] = []

    def take(self) -> Ticket | None:
        """The next request to begin with, once there is room for one; None when the line was closed."""
        with self._taking:  # it has its place before another is looked for
            ticket = self._line.next(self._has_room)
            if ticket is not None:
                self.preparing.append(ticket)
            return ticket

    @contextmanager
    def begun(self, ticket: Ticket) -> Iterator[None]:
        """A request that was taken is being prepared; afterwards its place is another's."""
        try:
            yield
        finally:
            self.preparing.remove(ticket)
            if ticket in self.alone:
                self.alone.remove(ticket)
            self._line.wake()

    def wait_alone(self, ticket: Ticket, job: Job) -> bool:
        """Wait until the others have been answered, whose pictures take memory; tells whether there were any.

        Raises:
            Cancelled: nobody waits for the answer any more.
        """
        if not self._batch.requests and len(self.preparing) == 1:
            return False
        job.emit(Chunk(progress=Progress("queue", 1)))
        self.alone.append(ticket)
        with self._batch.changed:
            # Those that wait for the same are alone one after another.
            while self._batch.requests or len(self.preparing) > len(self.alone) or self.alone[0] is not ticket:
                job.check()
                self._batch.changed.wait(TICK)
        return True

    def _has_room(self, ticket: Ticket) -> bool:
        preparing = list(self.preparing)
        if self.alone or sum(one.user == ticket.user for one in preparing) >= MOST_PREPARING - 1:
            return False
        running = preparing + [one.ticket for one in list(self._batch.requests.values())]
        own = sum(one.user == ticket.user for one in running)
        shared = sum(one.sharer == ticket.sharer for one in running)
        return len(running) < MOST_RUNNING and own < MOST_OF_ONE and shared < MOST_OF_SHARERS
