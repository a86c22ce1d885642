"""Ratings end in the file, whole and in order; a file that cannot be written is said at once."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread

import pytest

from app.errors import SettingsError
from app.feedback import FeedbackFile


def test_lines_of_json(tmp_path: Path) -> None:
    file = FeedbackFile(tmp_path / "likes.jsonl")
    threads = [Thread(target=file.add, args=({"number": number, "text": "图\n"},)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "likes.jsonl").read_text("utf-8").splitlines()
    assert sorted(json.loads(line)["number"] for line in lines) == list(range(20))


def test_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "likes.jsonl").write_text('{"old": 1}\n', "utf-8")
    FeedbackFile(tmp_path / "likes.jsonl").add({"new": 2})
    assert (tmp_path / "likes.jsonl").read_text("utf-8") == '{"old": 1}\n{"new": 2}\n'


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--feedback"):
        FeedbackFile(tmp_path / "missing" / "likes.jsonl")
