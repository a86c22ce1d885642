"""Nothing that was made fast has become slow: ratios within one run, with wide margins, never times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import concurrency, preprocess, startup, turns, vision
from benchmarks.checkpoint import TOKENIZER
from benchmarks.options import Cases, Options

# A busy machine may disturb one side of a comparison; a change for the worse shows every time.
pytestmark = pytest.mark.flaky(reruns=2)

EMBEDDED = Options(str(TOKENIZER), "cpu", "fp32", repeats=3)


@pytest.fixture(scope="module")
def turned() -> Cases:
    return turns.run(replace(EMBEDDED, small=True))


@pytest.mark.parametrize("name", ["image10.turn2", "video64.turn2"])
def test_a_follow_up_starts_in_less_than_half_the_time(turned: Cases, name: str) -> None:
    assert turned[name]["ratio"] < 0.5


@pytest.mark.parametrize("name", ["image10.turn2", "video64.turn2"])
def test_a_follow_up_reads_only_what_is_new(turned: Cases, name: str) -> None:
    row = turned[name]
    assert row["prompt_tokens"] - row["cached_tokens"] < 60
    assert row["cached_slices"] >= 4


@pytest.mark.parametrize("name", ["image10.turn2", "video64.turn2"])
def test_an_edited_and_a_regenerated_question_start_as_fast(turned: Cases, name: str) -> None:
    row = turned[name]
    assert row["edited_s"] < row["ttft1_s"] / 2
    assert row["regenerate_s"] < row["ttft1_s"] / 2


def test_pictures_of_mixed_sizes_are_encoded_faster_than_in_one_padded_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "SIZES", {"mixed": [(28, 36), (12, 12), (15, 20), (8, 8)]})
    # 6 or more as it is, 1 if the application itself encoded them in a padded batch.
    assert vision.run(replace(EMBEDDED, repeats=5))["mixed"]["ratio"] > 1.5


def test_preprocessing_is_not_slower_than_in_floats() -> None:
    assert preprocess.run(replace(EMBEDDED, repeats=7))["1344x1344"]["ratio"] > 0.8


def test_a_crowd_is_not_held_up_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "CASES", {"users8_text": 4})
    assert concurrency.run(EMBEDDED)["users8_text"]["ratio"] > 0.5


def test_help_loads_none_of_the_heavy_libraries() -> None:
    assert startup.measure_help(5)["ratio"] < 20
