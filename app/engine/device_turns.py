"""Whose turn it is on the device: the shortest work first, and the longest not put off for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heapify, heappush
from itertools import count
from threading import Condition

TICK = 0.02  # seconds between two looks at whether somebody still waits

_Place = tuple[int, int]  # steps of all that are done once it is due, and a number of its own


class DeviceTurns:
    """The device for one thread at a time. Work of few steps goes before work of many, also in the midst of it.

    What came earlier gains on it with every step that is done meanwhile: work of n steps lets at most n of others pass
    that came later.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: list[_Place] = []
        self._holder: _Place | None = None
        self._done = 0
        self._numbers = count()

    @contextmanager
    def turn(self, steps: int, check: Callable[[], None]) -> Iterator[Callable[[int], None]]:
        """Wait for a turn and keep it for the context; gives what to call with the steps done, where others may pass.

        Args:
            steps: about how many the work has.
            check: called while it waits; may raise to wait no longer.
        """
        seen = 0
        with self._changed:
            place = self._done + steps, next(self._numbers)
            self._enter(place, check)

        def let_pass(done: int) -> None:
            nonlocal seen
            with self._changed:
                self._done, seen = self._done + done - seen, done
                if self._waiting and self._waiting[0] < place:
                    self._leave()
                    self._enter(place, check)

        try:
            yield let_pass
        finally:
            with self._changed:
                if self._holder == place:
                    self._leave()

    def _enter(self, place: _Place, check: Callable[[], None]) -> None:
        heappush(self._waiting, place)
        try:
            while self._holder is not None or self._waiting[0] != place:
                check()
                self._changed.wait(TICK)
            self._holder = place
        finally:
            self._waiting.remove(place)
            heapify(self._waiting)
            self._changed.notify_all()

    def _leave(self) -> None:
        self._holder = None
        self._changed.notify_all()
