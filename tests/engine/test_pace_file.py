"""What was learned of the pace comes back at the next start; whatever is wrong with the file, nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.engine import pace_file
from app.engine.measure import WRITE_AFTER, Measurer
from app.engine.pace_file import PaceFile
from app.messages import Message, Usage
from app.pace import REMEMBERED, Observed
from tests.engine.conftest import loaded_model
from tests.engine.test_measure import SHORT

ROWS = [Observed(100, 0, 0.5), Observed(700, 10, 2.25)]
SECRET = "a question that nobody else may read"


def measurer(path: Path) -> Measurer:
    return Measurer(loaded_model("minicpm-v-2_6"), "pyav", keeps=True, file=PaceFile("model", path))


def test_it_comes_back_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pace.json"
    PaceFile("one", path).write(ROWS)
    PaceFile("two", path).write(ROWS[:1])
    PaceFile("one", path).write([*ROWS] * REMEMBERED)
    assert PaceFile("one", path).read() == (ROWS * REMEMBERED)[-REMEMBERED:]
    assert PaceFile("two", path).read() == ROWS[:1] and PaceFile("three", path).read() == []
    assert [each.name for each in path.parent.iterdir()] == ["pace.json"]


def test_the_oldest_models_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_file, "MOST_KEYS", 2)
    for key in "abac":
        PaceFile(key, tmp_path / "pace.json").write(ROWS)
    assert list(json.loads((tmp_path / "pace.json").read_text())) == ["a", "c"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"model": 3}',
        '{"model": [[1], null, ["a", 2, 3], [1, 2, null], [-1, 0, 1.0], [1, 0, NaN], [1, 0, Infinity]]}',
        "9" * 5000,
        "[" * 100_000,
        "\udcff",
    ],
)
def test_what_cannot_be_read_is_ignored_and_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pace.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert PaceFile("model", path).read() == []
    PaceFile("model", path).write(ROWS)
    assert PaceFile("model", path).read() == ROWS


def test_where_nothing_can_be_written_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    file = PaceFile("model", tmp_path / "file" / "pace.json")
    file.write(ROWS)
    assert file.read() == []


def test_a_new_start_foretells_what_was_learned_before(tmp_path: Path) -> None:
    path = tmp_path / "pace.json"
    messages = [Message.of("user", SECRET)]
    before = measurer(path)
    estimate = before.measure(messages, SHORT)
    assert estimate.seconds is None
    for _ in range(WRITE_AFTER - 1):
        before.learn(Usage(prompt_tokens=estimate.tokens, new_tokens=1, ttft=0.25), estimate)
    assert not path.exists(), "written rarely"
    before.learn(Usage(prompt_tokens=estimate.tokens, new_tokens=1, ttft=0.25), estimate)
    assert measurer(path).measure(messages, SHORT).seconds == pytest.approx(0.25)
    before.learn(Usage(prompt_tokens=estimate.tokens, new_tokens=1, ttft=4.0), estimate)
    before.keep()
    assert (measurer(path).measure(messages, SHORT).seconds or 0) > 0.4
    assert "question" not in path.read_text()
