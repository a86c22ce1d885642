"""The benchmarks run and print what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from benchmarks.answers import measure
from benchmarks.reuse import measure as measure_reuse
from tests.checkpoints import folder

ROOT = Path(__file__).parents[2]


def test_answers_measures_every_kind_of_question() -> None:
    settings = Settings(model=str(folder("minicpm-v-2_6")), port=1, device="cpu", dtype="fp32")
    result = measure(settings, runs=1, new_tokens=4)
    kinds = {name: row for name, row in result.items() if isinstance(row, dict)}
    assert list(kinds) == ["text", "image_448x448", "image_1344x1344", "video_16_frames"]
    assert [row["vision_tokens"] for row in kinds.values()] == [0, 64, 640, 1024]
    for row in kinds.values():
        assert row["new_tokens"] == 4
        assert row["ttft_s"] > 0 and row["tokens_per_s"] > 0


def test_reuse_measures_each_kind_of_question_with_and_without_what_was_kept() -> None:
    settings = Settings(model=str(folder("minicpm-v-2_6")), device="cpu", dtype="fp32")
    result = measure_reuse(settings, runs=1, side=448)
    assert list(result) == ["first", "follow_up", "regenerate", "edit"]
    for name, row in result.items():
        assert (row["cached_slices"] > 0) == (name != "first")
        assert row["ttft_s"] > 0 and row["ttft_without_s"] > 0
    assert result["regenerate"]["cached_tokens"] == result["regenerate"]["prompt_tokens"] - 1
    assert result["first"]["prompt_tokens"] <= result["follow_up"]["cached_tokens"]


@pytest.mark.browser
@pytest.mark.slow
def test_first_page_prints_json() -> None:
    command = [sys.executable, "-m", "benchmarks.first_page", "--runs", "1"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    row = json.loads(output)
    assert set(row) == {"help_s", "server_answers_s", "page_visible_after_s"}
    assert all(value > 0 for value in row.values())
