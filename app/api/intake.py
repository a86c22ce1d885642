"""Room for the bodies of requests, from their first byte until they have been read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.api.room import Room, Take
from app.errors import BackendBusyError

MAX_BODIES = 256  # at once


class Intake:
    """Bounds the bodies of all clients together, in number and in bytes; used on one event loop.

    Args:
        most: bytes that one may have.
    """

    def __init__(self, most: int) -> None:
        self._places = MAX_BODIES
        self._room = Room(most, _full)

    @contextmanager
    def place(self) -> Iterator[Take]:
        """A place for one body; what is yielded takes room for so many more bytes. All of it is given back at the end.

        Raises:
            BackendBusyError: others have all places, or all the room.
        """
        if not self._places:
            raise _full()
        self._places -= 1
        try:
            with self._room.place() as take:
                yield take
        finally:
            self._places += 1


def _full() -> BackendBusyError:
    return BackendBusyError("Too many other requests are being received.", "Try again in a while.")
