"""What a run cost, and the commands that make it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from finetune.tiny import __main__ as command
from finetune.tiny import record


def test_hours_are_those_of_all_stages(tmp_path: Path) -> None:
    record.write(
        tmp_path / "record.json", 2, [record.Stage("tower", 1000, 1800), record.Stage("answers", 2000, 5400.0)]
    )
    data = json.loads((tmp_path / "record.json").read_text())
    assert data["hours"] == 2 and data["seed"] == 2
    assert data["stages"] == [
        {"name": "tower", "pictures": 1000, "hours": 0.5}, {"name": "answers", "pictures": 2000, "hours": 1.5},
    ]  # fmt: skip
    assert data["machine"]["cores"] >= 1 and data["machine"]["processor"] == record.processor() != ""


def test_the_commands_are_understood() -> None:
    install, make = map(shlex.split, record.COMMANDS)
    assert Path(install[-1]).exists() and make[:3] == ["python", "-m", "finetune.tiny"]
    assert command.parser().parse_args(make[3:]).compile
