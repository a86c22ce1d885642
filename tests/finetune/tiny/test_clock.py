"""Seconds over all stops of a run."""

from __future__ import annotations

import pytest

from finetune.tiny import clock as module
from finetune.tiny.clock import EVERY, Clock


def test_seconds_go_on_and_reports_come_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    clock = Clock(50.0)
    assert not clock.due
    now[0] += EVERY + 1
    assert clock.due and clock.report() == 50 + EVERY + 1
    assert not clock.due
    now[0] += 9
    assert clock.report() == 50 + EVERY + 10
