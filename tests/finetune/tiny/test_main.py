"""One command makes the checkpoint: its steps in order, each with flags it knows."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from finetune.tiny import __main__ as command
from finetune.tiny import record


def steps(*more: str) -> list[list[str]]:
    return command.steps(command.parser().parse_args(["--cache", "icons and fonts", "--out", "run", *more]))


def module_of(step: list[str]) -> str:
    return next(word for word in reversed(step) if word.startswith("finetune.tiny."))


def test_steps_are_in_order() -> None:
    names = [module_of(step).rpartition(".")[2] for step in steps()]
    assert names == ["icons", "fonts", "photographs", "towers", "learn", "evaluate", "card"]


def test_several_processes_train_and_one_does_the_rest() -> None:
    joined = [module_of(step) for step in steps("--processes", "3") if "torch.distributed.run" in step]
    assert joined == ["finetune.tiny.towers", "finetune.tiny.learn"]
    towers = steps("--processes", "3")[3]
    assert towers[towers.index("--nproc-per-node") + 1] == "3"
    assert not any("torch.distributed.run" in step for step in steps("--processes", "1"))
    assert all(step[:2] == [sys.executable, "-m"] for step in steps())


def test_options_reach_the_steps() -> None:
    *_, towers, learn, evaluate, card = steps("--pictures", "7", "--tower-pictures", "5", "--compile")
    assert towers[towers.index("--pictures") + 1] == "5" and learn[learn.index("--pictures") + 1] == "7"
    assert "--compile" in learn and not any("--compile" in step for step in (*steps(), towers, evaluate))
    assert all("icons and fonts" in step for step in steps()[:6])
    checkpoint, evaluation = str(Path("run") / "checkpoint"), str(Path("run") / "evaluation.json")
    assert checkpoint in evaluate and checkpoint in card and evaluation in evaluate and evaluation in card
    assert str(Path("run") / "checkpoint" / "training.json") in card


def test_a_plan_takes_the_place_of_both_stages(tmp_path: Path) -> None:
    sittings = [
        record.Sitting("towers", 0, 9, 1.0, 1, {"pictures": 9}),
        record.Sitting("learn", 0, 5, 1.0, 2, {"pictures": 8, "seed": 3}),
        record.Sitting("learn", 5, 8, 1.0, 2, {"pictures": 8, "seed": 4}),
    ]
    record.write(tmp_path / record.NAME, [], sittings)
    found = steps("--plan", str(tmp_path / record.NAME))
    assert [module_of(step).rpartition(".")[2] for step in found[3:-2]] == ["towers", "learn", "learn"]
    assert [step[step.index("--seed") + 1] for step in found[4:-2]] == ["3", "4"]


def test_a_record_without_sittings_is_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.json").write_text('{"seed": 5}')
    flags = ["--cache", "c", "--out", "o", "--plan", str(tmp_path / "old.json")]
    monkeypatch.setattr(sys, "argv", ["tiny", *flags])
    assert command.main() == 1
    assert "old.json cannot be done again: it lacks how it began" in capsys.readouterr().err


@pytest.mark.parametrize("at", range(7))
def test_a_step_knows_its_flags(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step's own parser takes what it is given."""
    step = steps("--compile")[at]
    arguments = step[step.index(module_of(step)) + 1 :]
    parsed: list[Any] = []

    class ParsedError(Exception):
        """Parsing is over; nothing is to be run."""

    def parse(parser: argparse.ArgumentParser, given: Any = None, namespace: Any = None) -> Any:
        parsed.append(ORIGINAL(parser, arguments))
        raise ParsedError

    ORIGINAL = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(ParsedError):
        importlib.import_module(module_of(step)).main()
    assert len(parsed) == 1


def test_the_first_failure_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    threads: list[str] = []

    def run(step: list[str], env: dict[str, str], check: bool) -> subprocess.CompletedProcess[str]:
        ran.append(module_of(step))
        threads.append(env.get("OMP_NUM_THREADS", ""))
        return subprocess.CompletedProcess(step, 3 if "towers" in ran[-1] else 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["tiny", "--cache", "c", "--out", "o"])
    assert command.main() == 3
    assert ran == [f"finetune.tiny.{name}" for name in ("icons", "fonts", "photographs", "towers")]
    assert set(threads) == {"1"}
