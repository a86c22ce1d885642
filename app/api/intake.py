"""Room for the bodies of requests, from their first byte until they have been read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from app.errors import BackendBusyError

MAX_BODIES = 256  # at once
LARGEST = 2  # so many of the largest size have room at once

Take: TypeAlias = Callable[[int], None]


class Intake:
    """Bounds the bodies of all clients together, in number and in bytes; used on one event loop.

    Args:
        most: bytes that one may have.
    """

    def __init__(self, most: int) -> None:
        self._places = MAX_BODIES
        self._room = LARGEST * most

    @contextmanager
    def place(self) -> Iterator[Take]:
        """A place for one body; what is yielded takes room for so many more bytes. All of it is given back at the end.

        Raises:
            BackendBusyError: others have all places, or all the room.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._room:
                raise _full()
            self._room -= size
            taken += size

        if not self._places:
            raise _full()
        self._places -= 1
        try:
            yield take
        finally:
            self._places += 1
            self._room += taken


def _full() -> BackendBusyError:
    return BackendBusyError("Too many other requests are being received.", "Try again in a while.")
