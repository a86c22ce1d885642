"""Requests on their way into an engine: their tickets, and the line in which they wait."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from queue import Empty, Queue
from statistics import fmean
from time import monotonic

from cachetools import LRUCache

from app.errors import AppError, BackendBusyError, GenerationError
from app.messages import Chunk, Message
from app.sampling import SamplingParams
from app.texts import Phrase

MAX_WAITING = 256
# Of one user, so that a program with many requests leaves room for others.
MAX_WAITING_OF_ONE = 64
REMEMBERED_USERS = 1024
# Turns whose mean length foretells the next ones.
PACES = 8


@dataclass(slots=True, eq=False)
class Ticket:
    """A request in the engine: where its chunks come out, and how to call it off.

    The last event is a chunk with a finish reason, or the error that ended the answer.

    Attributes:
        user: whose it is; those with the same name share their turns. "A/B" is one of those who share what A gets.
        begun: some of the answer's text has come out.
    """

    messages: Sequence[Message]
    params: SamplingParams
    user: str = ""
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

    @property
    def sharer(self) -> str:
        """Who gets the turns that the user is given a part of; the user itself if nobody shares with it."""
        return self.user.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request stands in the line.

    Attributes:
        number: requests that go before it, itself included.
        seconds: about how long until its turn; None while that is not known.
    """

    number: int
    seconds: float | None = None


class Line:
    """Tickets that wait for their turn. Users take turns, each one's own tickets go in the order they came."""

    def __init__(self) -> None:
        self._waiting: list[Ticket] = []
        self._numbers: dict[Ticket, int] = {}
        self._changed = threading.Condition()
        self._closed = False
        # When a user was last served, as a count of all that were.
        self._turns: LRUCache[str, int] = LRUCache(REMEMBERED_USERS)
        self._served = 0
        self._last = monotonic()
        self._paces: deque[float] = deque(maxlen=PACES)

    @property
    def closed(self) -> bool:
        """Whether no more is served."""
        return self._closed

    def submit(self, messages: Sequence[Message], params: SamplingParams, user: str = "") -> Ticket:
        """Queue a request.

        Raises:
            BackendBusyError: too many wait already, of all or of this user; says when to come back.
            GenerationError: no more is served.
        """
        with self._changed:
            if self._closed:
                raise ended()
            ticket = Ticket(messages, params, user)
            self._make_room(ticket)
            self._waiting.append(ticket)
            self._order()
        return ticket

    def place(self, ticket: Ticket) -> Place | None:
        """Where it stands; None once it is being answered."""
        with self._changed:
            number = self._numbers.get(ticket)
            return Place(number, self._seconds(number)) if number else None

    def next(self, room: Callable[[Ticket], bool] = lambda ticket: True) -> Ticket | None:
        """The next ticket that there is room for, once there is one; None when the line was closed."""
        with self._changed:
            while not self._closed:
                ticket = next((ticket for ticket in self._waiting if room(ticket)), None)
                if ticket is not None:
                    self._take(ticket)
                    return ticket
                self._changed.wait()
            return None

    def leave(self, ticket: Ticket) -> None:
        """Wait no longer."""
        with self._changed:
            if ticket in self._numbers:
                self._waiting.remove(ticket)
                self._order()

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
                ticket.events.put(ended())
            self._waiting.clear()
            self._order()
            self._changed.notify_all()

    def _make_room(self, new: Ticket) -> None:
        """Refuse who has a share of the line already; in a full line, who has most gives up the last of it."""
        own = [ticket for ticket in self._waiting if ticket.user == new.user]
        if len(own) >= MAX_WAITING_OF_ONE:
            raise self._busy("queue_own_most", own)
        if len(self._waiting) < MAX_WAITING:
            return
        sharing = [ticket for ticket in self._waiting if ticket.sharer == new.sharer]
        last = _last_of_most(self._waiting, new, attrgetter("sharer")) or _last_of_most(
            sharing, new, attrgetter("user")
        )
        if last is None:
            raise self._busy("queue_longest", self._waiting)
        last.cancel()
        last.events.put(self._busy("queue_longest", self._waiting))
        self._waiting.remove(last)

    def _take(self, ticket: Ticket) -> None:
        now = monotonic()
        # Only what waited all the time tells how long a turn takes.
        if self._served and ticket.submitted <= self._last:
            self._paces.append(now - self._last)
        self._last = now
        self._served += 1
        self._turns[ticket.user] = self._turns[ticket.sharer] = self._served
        self._waiting.remove(ticket)
        self._order()

    def _order(self) -> None:
        """Sort: those who share take turns among themselves, and all sharers with each other."""
        came = sorted(self._waiting, key=lambda ticket: ticket.submitted)
        self._waiting = self._in_turns(self._in_turns(came, attrgetter("user")), attrgetter("sharer"))
        self._numbers = {ticket: number for number, ticket in enumerate(self._waiting, 1)}
        self._changed.notify_all()

    def _in_turns(self, tickets: Sequence[Ticket], whose: Callable[[Ticket], str]) -> list[Ticket]:
        """Everybody's first before anybody's second, who was served longest ago first; each one's own as they are."""
        own: Counter[str] = Counter()
        rounds: dict[Ticket, tuple[int, int, float]] = {}
        for ticket in tickets:
            own[whose(ticket)] += 1
            rounds[ticket] = own[whose(ticket)], self._turns.get(whose(ticket), 0), ticket.submitted
        return sorted(tickets, key=rounds.__getitem__)

    def _seconds(self, number: int) -> float | None:
        """About how long until the turn of the ticket with this number."""
        if not self._paces:
            return None
        pace = fmean(self._paces)
        return max(0.0, pace - (monotonic() - self._last)) + (number - 1) * pace

    def _busy(self, reason: str, waiting: Sequence[Ticket]) -> BackendBusyError:
        # Half of them: then there is room again, and not for everybody at the same moment.
        seconds = self._seconds(self._numbers[waiting[len(waiting) // 2 - 1]])
        message = Phrase(reason, count=len(waiting))
        if seconds is None:
            return BackendBusyError(message, Phrase("do_again_later"))
        return BackendBusyError(message, Phrase("do_again_seconds", seconds=max(1, round(seconds))), seconds)


class Queued:
    """What every engine that serves a line has in common."""

    def __init__(self) -> None:
        self._line = Line()

    def submit(self, messages: Sequence[Message], params: SamplingParams, user: str = "") -> Ticket:
        """Queue a request.

        Args:
            user: whose it is; users take turns.

        Raises:
            BackendBusyError: too many wait already, of all or of this user; says when to come back.
        """
        return self._line.submit(messages, params, user)

    def place(self, ticket: Ticket) -> Place | None:
        """Where a request stands in the line; None once it is being answered."""
        return self._line.place(ticket)

    @property
    def has_ended(self) -> bool:
        """Whether no more is served: it was closed, or it failed for good."""
        return self._line.closed

    def cancel(self, ticket: Ticket) -> None:
        """Call a request off: it leaves the line, or its work ends within one token."""
        ticket.cancel()
        self._line.leave(ticket)


def _last_of_most(tickets: Sequence[Ticket], new: Ticket, whose: Callable[[Ticket], str]) -> Ticket | None:
    """The last of some tickets that is of who has most, if that is more than the new one's owner would have then."""
    counts = Counter(map(whose, tickets))
    most = max(counts.values(), default=0)
    if most <= counts[whose(new)] + 1:
        return None
    return next(ticket for ticket in reversed(tickets) if counts[whose(ticket)] == most)


def ended() -> GenerationError:
    """What ends the answers of an engine that serves no more."""
    return GenerationError(Phrase("engine_ended"), Phrase("do_restart_server"))


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
