"""Room for the bodies of requests that the ingress holds until their answers need them no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.api.intake import LARGEST, Take
from app.errors import BackendBusyError
from app.texts import Phrase


class Room:
    """Bounds what all bodies together take, from their first byte on; used on one event loop.

    Args:
        most: bytes that one may have.
    """

    def __init__(self, most: int) -> None:
        self._left = LARGEST * most

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
                raise BackendBusyError(Phrase("queue_full"), Phrase("do_again_later"))
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken
