"""What a run cost, and the sittings it was made in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.errors import CheckpointError
from finetune.tiny import learn, record

SITTING = record.Sitting("learn", 8, 16, 3600.0, 2, {"pictures": 16, "seed": 3, "compile": True})


def test_hours_are_those_of_all_stages(tmp_path: Path) -> None:
    stages = [record.Stage("tower", 1000, 1800), record.Stage("answers", 2000, 5400.0)]
    record.write(tmp_path / "record.json", stages, [SITTING])
    data = json.loads((tmp_path / "record.json").read_text())
    assert data["hours"] == 2
    assert data["stages"] == [
        {"name": "tower", "pictures": 1000, "hours": 0.5}, {"name": "answers", "pictures": 2000, "hours": 1.5},
    ]  # fmt: skip
    assert data["machine"]["cores"] >= 1 and data["machine"]["processor"] == record.processor() != ""
    assert record.read(tmp_path / "record.json") == stages
    assert record.read_sittings(tmp_path / "record.json") == [SITTING]


def test_a_record_without_sittings_has_none(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"seed": 5, "stages": []}')
    assert record.read_sittings(tmp_path / "old.json") == []
    with pytest.raises(CheckpointError, match=r"none\.json cannot be read"):
        record.read_sittings(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [({"stage": "eyes"}, "the stage is 'eyes', allowed is towers or learn"), ({"from": None}, "NoneType"),
     ({"hours": "x"}, "'x'"), ({"flags": {}}, "pictures")],
)  # fmt: skip
def test_a_sitting_that_is_none_is_refused(change: dict[str, Any], words: str) -> None:
    assert record.Sitting.read(SITTING.data()) == SITTING
    with pytest.raises(CheckpointError, match=words):
        record.Sitting.read(SITTING.data() | change)


def test_all_flags_are_recorded_but_for_places() -> None:
    arguments = learn.parser().parse_args("--cache c --out o --published p --few 7 --until 3".split())
    flags = record.flags_of(arguments)
    assert flags["few"] == 7 and flags["seed"] == 2
    assert set(vars(arguments)) - set(flags) == {"cache", "out", "published", "until"}


def test_a_run_that_was_stopped_is_one_sitting_unless_something_changed() -> None:
    more = replace(SITTING, start=16, stop=24, seconds=60.0)
    assert record.extended([SITTING], more) == [replace(SITTING, stop=24, seconds=3660.0)]
    others = [
        replace(more, flags=more.flags | {"seed": 4}), replace(more, processes=1), replace(more, published=True),
        replace(more, stage="towers", start=0), replace(more, start=20),
    ]  # fmt: skip
    for other in others:
        assert record.extended([SITTING], other) == [SITTING, other]
    assert record.extended([], more) == [more]
