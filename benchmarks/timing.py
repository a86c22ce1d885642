"""Seconds of several ways to do one thing, run in turn, so that a busy machine meets them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from benchmarks.options import median


def in_turn(ways: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each way, after one run of each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, work in ways.items():
            spent = seconds_of(work)
            if repeat:
                seconds[name].append(spent)
    return seconds


def seconds_of(work: Callable[[], Any]) -> float:
    """How long it takes, what it left on a GPU included."""
    _wait_for_gpu()
    started = time.monotonic()
    work()
    _wait_for_gpu()
    return time.monotonic() - started


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of ratios of what was measured next to each other."""
    return median([one / other for one, other in zip(above, below, strict=True)], 3)


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
