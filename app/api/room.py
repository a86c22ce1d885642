"""Room for the bodies of requests that are held at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from app.errors import BackendBusyError

LARGEST = 2  # so many of the largest size have room at once

Take: TypeAlias = Callable[[int], None]


class Room:
    """Bounds what all bodies together take, from their first byte on; used on one event loop.

    Args:
        most: bytes that one may have.
        full: makes the error of one that finds no room.
    """

    def __init__(self, most: int, full: Callable[[], BackendBusyError]) -> None:
        self._left = LARGEST * most
        self._full = full

    @contextmanager
    def place(self) -> Iterator[Take]:
        """What is yielded takes room for so many more bytes of one body. All of it is given back at the end.

        Raises:
            BackendBusyError: others have the room.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left:
                raise self._full()
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken
