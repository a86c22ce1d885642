"""Bytes fetched so far, told as a fraction and in words."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import TypeAlias

from app.texts import Phrase

OnProgress: TypeAlias = Callable[[float, str], None]
INTERVAL = 0.1  # seconds between two reports


class ByteProgress:
    """Counts bytes from several threads.

    Args:
        total: bytes in all.
        done: bytes that are here already.
        report: told the fraction and "1.2 of 16.1 GB", at most ten times a second and once at the end.
    """

    def __init__(self, total: int, done: int, report: OnProgress | None) -> None:
        self._total, self._done, self._report = max(total, 1), done, report
        self._lock = Lock()
        self._last = 0.0

    def add(self, count: float) -> None:
        """Some more bytes came; a negative count takes back what must be fetched again."""
        with self._lock:
            self._done = max(0, self._done + int(count))
            if monotonic() - self._last < INTERVAL:
                return
            self._last = monotonic()
            done = min(self._done, self._total)
        self._tell(done)

    def finish(self) -> None:
        """All is here."""
        self._tell(self._total)

    def _tell(self, done: int) -> None:
        if self._report is not None:
            unit, name = next((u, n) for u, n in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"), (1, "bytes"))
                              if self._total >= u)  # fmt: skip
            self._report(done / self._total, Phrase("bytes_of", done=done / unit, total=self._total / unit, unit=name))
