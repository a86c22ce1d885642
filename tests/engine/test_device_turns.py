"""One at a time on the device; short work passes long work, which is not put off for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from app.engine.device_turns import DeviceTurns
from app.media.clip import Cancelled
from tests.engine.test_plain import wait_until


def check() -> None:
    """Somebody waits."""


def work(turns: DeviceTurns, name: str, steps: int, log: list[str]) -> None:
    """So many steps, all at once."""
    with turns.turn(steps, check) as let_pass:
        for step in range(1, steps + 1):
            log.append(name)
            let_pass(step)


def test_short_work_passes_long_work_and_the_order_is_that_of_their_lengths() -> None:
    turns, log = DeviceTurns(), list[str]()
    with ThreadPoolExecutor(3) as pool:
        with turns.turn(9, check) as let_pass:
            others = [pool.submit(work, turns, str(steps), steps, log) for steps in (4, 2, 12)]
            wait_until(lambda: len(turns._waiting) == 3)
            let_pass(1)
            log.append("long")
            assert log == ["2", "2", "4", "4", "4", "4", "long"]
            let_pass(2)
            assert log[-1] == "long"
        for other in others:
            other.result(10)
    assert log[7:] == ["12"] * 12


def test_long_work_is_not_put_off_for_ever() -> None:
    turns, log, end = DeviceTurns(), list[str](), Event()

    def always_short() -> None:
        while not end.is_set():
            work(turns, "short", 1, log)

    with ThreadPoolExecutor(3) as pool:
        with turns.turn(1, check):
            long = pool.submit(work, turns, "long", 20, log)
            wait_until(lambda: len(turns._waiting) == 1)
            pool.submit(always_short)
            pool.submit(always_short)
            wait_until(lambda: len(turns._waiting) == 3)
        try:
            long.result(20)
        finally:
            end.set()
    assert log.index("long") <= 20


def test_who_waits_no_longer_leaves_no_trace() -> None:
    turns = DeviceTurns()

    def cancelled() -> None:
        raise Cancelled

    with ThreadPoolExecutor(1) as pool, turns.turn(1, check), pytest.raises(Cancelled):
        pool.submit(lambda: turns.turn(1, cancelled).__enter__()).result(10)
    log: list[str] = []
    work(turns, "next", 2, log)
    assert log == ["next", "next"]


def test_who_is_called_off_while_others_pass_leaves_their_turn_alone() -> None:
    turns, go_on = DeviceTurns(), Event()
    held: list[str] = []

    def short() -> None:
        with turns.turn(1, check):
            held.append("short")
            assert go_on.wait(10)
        held.append("done")

    def called_off() -> None:
        raise Cancelled

    with ThreadPoolExecutor(2) as pool:
        with pytest.raises(Cancelled), turns.turn(9, lambda: called_off() if held else None) as let_pass:
            other = pool.submit(short)
            wait_until(lambda: len(turns._waiting) == 1)
            let_pass(1)
        third = pool.submit(work, turns, "third", 1, held)
        wait_until(lambda: len(turns._waiting) == 1)
        assert held == ["short"]
        go_on.set()
        other.result(10)
        third.result(10)
    assert held == ["short", "done", "third"]
