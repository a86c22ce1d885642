"""How long until the first token, learned from earlier answers on this machine. Pure, no constants of any machine.

Seconds are taken for a sum: a start, so much per prompt token that is read, so much per slice that is encoded. The
three figures are those that fit the latest answers best and are not below zero.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import combinations
from threading import Lock
from typing import NamedTuple

REMEMBERED = 64  # answers


class Observed(NamedTuple):
    """One answer: prompt tokens that were not reused, slices that were encoded, seconds to the first token."""

    tokens: int
    slices: int
    seconds: float


class Pace:
    """Learns from answers and foretells the next; every method may be called from any thread."""

    def __init__(self, observed: Iterable[Observed] = ()) -> None:
        self._observed = deque(observed, REMEMBERED)
        self._lock = Lock()

    @property
    def observed(self) -> list[Observed]:
        """The answers that are remembered, oldest first."""
        with self._lock:
            return list(self._observed)

    def learn(self, observed: Observed) -> None:
        """Take one more answer into account; the oldest is forgotten."""
        with self._lock:
            self._observed.append(observed)

    def seconds(self, tokens: int, slices: int) -> float | None:
        """Seconds to the first token; None before anything like it was seen.

        Slices are foretold only once some have been encoded.
        """
        rows = self.observed
        if not rows or (slices and not any(row.slices for row in rows)):
            return None
        start, per_token, per_slice = fit(rows)
        return start + per_token * tokens + per_slice * slices


def fit(rows: Sequence[Observed]) -> tuple[float, float, float]:
    """Start, seconds per token and per slice, none below zero, with the least squares of the errors.

    Of all sets of the three figures that are not held at zero, the one with the least error that has none below it.
    """
    best, least = (0.0, 0.0, 0.0), sum(row.seconds**2 for row in rows)
    for count in (1, 2, 3):
        for free in combinations(range(3), count):
            found = _solve(rows, free)
            if found is None or min(found) < 0:
                continue
            error = sum((row.seconds - found[0] - found[1] * row.tokens - found[2] * row.slices) ** 2 for row in rows)
            if error < least * (1 - 1e-9):
                best, least = found, error
    return best


def _solve(rows: Sequence[Observed], free: Sequence[int]) -> tuple[float, float, float] | None:
    """The least squares with the other figures held at zero; None where the rows do not tell them apart."""
    columns = [[(1.0, float(row.tokens), float(row.slices))[index] for row in rows] for index in free]
    matrix = [[sum(a * b for a, b in zip(left, right, strict=True)) for right in columns] for left in columns]
    right = [sum(a * row.seconds for a, row in zip(column, rows, strict=True)) for column in columns]
    for pivot in range(len(free)):
        scale = max((abs(matrix[row][pivot]) for row in range(len(free))), default=0.0)
        if abs(matrix[pivot][pivot]) <= 1e-9 * max(scale, 1.0):
            return None
        for row in range(len(free)):
            if row != pivot:
                factor = matrix[row][pivot] / matrix[pivot][pivot]
                matrix[row] = [a - factor * b for a, b in zip(matrix[row], matrix[pivot], strict=True)]
                right[row] -= factor * right[pivot]
    found = dict(zip(free, (right[at] / matrix[at][at] for at in range(len(free))), strict=True))
    return found.get(0, 0.0), found.get(1, 0.0), found.get(2, 0.0)
