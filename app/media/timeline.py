"""A clip's time stamps as its container holds them: read without decoding, right for any frame rate."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Stamp:
    """One packet of video. All times in ticks of the stream's time base.

    Attributes:
        shown: when its frame appears.
        stored: its place in decoding order, which is what containers seek by.
        lasts: how long it stays; 0 if unknown.
        key: decoding can start here.
    """

    shown: int
    stored: int
    lasts: int
    key: bool


class Timeline:
    """The frames of a clip in the order they are shown.

    Args:
        stamps: at least one, in any order; of two with the same `shown` the first counts.
        tick: seconds per tick.
    """

    def __init__(self, stamps: Iterable[Stamp], tick: Fraction) -> None:
        unique = {stamp.shown: stamp for stamp in reversed(list(stamps))}
        self._stamps = [unique[shown] for shown in sorted(unique)]
        self._keys = [stamp for stamp in self._stamps if stamp.key]
        self._key_shown = [stamp.shown for stamp in self._keys]
        self._tick = tick

    @property
    def times(self) -> list[float]:
        """When each frame appears, in seconds from the first."""
        first = self._stamps[0].shown
        return [float((stamp.shown - first) * self._tick) for stamp in self._stamps]

    @property
    def duration(self) -> float:
        """Seconds from the first frame's start to the last one's end; an unknown end counts as the mean spacing."""
        first, last = self._stamps[0], self._stamps[-1]
        span = last.shown - first.shown
        lasts = last.lasts or (span / (len(self._stamps) - 1) if span else 0)
        return float((span + lasts) * self._tick)

    def shown(self, position: int) -> int:
        """Ticks at which the frame at a position appears; past the end, the last frame's."""
        return self._stamps[min(position, len(self._stamps) - 1)].shown

    def key_before(self, shown: int, back: int = 0) -> Stamp | None:
        """The last frame at or before `shown` where decoding can start, or the one `back` such frames earlier."""
        position = bisect_right(self._key_shown, shown) - 1 - back
        return self._keys[position] if position >= 0 else None
