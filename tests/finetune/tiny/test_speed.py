"""Times are taken of the right things: the clock here moves by what was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune.tiny import speed
from finetune.tiny.case import Case


class Clock:
    """Stands still but for what the fake model takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow:
    """Takes ten times the case's number of seconds for the first question, then that, or a second for one token."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.asked = clock, 0

    def answer(self, case: Case, most: int | None = None) -> str:
        self.asked += 1
        seconds = float(case.expected) * (10 if self.asked == 1 else 1)
        self.clock.now += 1.0 if most == 1 else seconds
        return ""


def test_medians_are_of_single_questions_behind_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock()
    monkeypatch.setattr(speed.time, "perf_counter", clock.perf_counter)

    def load(folder: Path) -> Slow:
        assert folder == tmp_path
        clock.now += 0.5
        return Slow(clock)

    cases = [Case("colour", [], lambda answer: 0.0, expected) for expected in ("50", "2", "9", "3")]
    assert speed.measure(load, tmp_path, cases) == {"load": 0.5, "first_token": 1.0, "answer": 3.0, "pictures": 3}
