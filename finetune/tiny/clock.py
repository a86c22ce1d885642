"""How long a run has learned, over all its stops, and when it is time to save."""

from __future__ import annotations

from time import monotonic

# Seconds between two reports; what a stop loses at most.
EVERY = 120


class Clock:
    """Counts seconds.

    Args:
        spent: seconds before the last stop.
    """

    def __init__(self, spent: float) -> None:
        now = monotonic()
        self._began, self._last = now - spent, now

    @property
    def due(self) -> bool:
        """Whether the last report is long ago."""
        return monotonic() - self._last > EVERY

    def report(self) -> float:
        """Seconds of the whole run; the next report is due later."""
        self._last = monotonic()
        return self._last - self._began
