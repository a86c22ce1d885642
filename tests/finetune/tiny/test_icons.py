"""Sprites from icon sets that stand in the cache already, so nothing is downloaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.tiny.icons import HELD_OUT_SETS, SIZE, TRAINING_SETS, build, load, load_seconds, main, things
from finetune.tiny.packages import PackageError

LEFT_HALF = '<rect width="8" height="16" fill="#f00"/>'
WHOLE = '<rect width="16" height="16" fill="#00f"/>'


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Sets of three icons: one by its name, one by an alias, one under the name that has no hyphen."""
    data = {
        "icons": {"fox": {"body": LEFT_HALF}, "dogface": {"body": WHOLE}, "hidden": {"body": WHOLE}},
        "aliases": {"owl": {"parent": "chain"}, "chain": {"parent": "fox"}},
        "width": 16,
        "height": 16,
    }
    for icon_set in (*TRAINING_SETS, *HELD_OUT_SETS):
        folder = tmp_path / "sets" / icon_set.name
        folder.mkdir(parents=True)
        (folder / "icons.json").write_text(json.dumps(data))
    return tmp_path


def test_the_list_is_complete() -> None:
    listed = things()
    assert len(listed) == 215 and len({thing.icon for thing in listed}) == 215
    words = [thing.word for thing in listed]
    assert {word for word in words if words.count(word) > 1} == {"fish", "umbrella"}
    chinese = {thing.word: thing.chinese for thing in listed}
    assert chinese["dog"] == "狗" and chinese["cat"] == "猫" and chinese["shopping cart"] == "购物车"
    assert len(set(chinese.values())) == len(chinese), "two things share a Chinese word"
    assert not any(thing.chinese.isascii() for thing in listed)


@pytest.mark.parametrize(
    ("word", "phrase"), [("dog", "a dog"), ("owl", "an owl"), ("umbrella", "an umbrella"), ("unicorn", "a unicorn"),
                         ("scissors", "scissors")],
)  # fmt: skip
def test_phrases(word: str, phrase: str) -> None:
    assert next(thing for thing in things() if thing.word == word).phrase == phrase


def test_icons_are_found_by_name_alias_and_joined_name(cache: Path) -> None:
    assert build(cache) == {icon_set.name: 3 for icon_set in (*TRAINING_SETS, *HELD_OUT_SETS)}
    sprites = load(cache)
    assert set(sprites["noto"]) == {"fox", "dog", "owl"}
    assert np.array_equal(sprites["noto"]["owl"], sprites["noto"]["fox"])


def test_sprites_are_rgba_with_what_is_not_drawn_transparent(cache: Path) -> None:
    build(cache)
    fox = load(cache)["twemoji"]["fox"]
    assert fox.shape == (SIZE, SIZE, 4) and fox.dtype == np.uint8
    assert fox[40, 10].tolist() == [255, 0, 0, 255] and fox[40, 80, 3] == 0


def test_of_two_icons_of_a_word_the_first_is_loaded_and_the_second_apart(tmp_path: Path) -> None:
    first, second = np.full((96, 96, 4), 1, np.uint8), np.full((96, 96, 4), 2, np.uint8)
    drawn: dict[str, Any] = {f"{icon_set.name}/fox": first for icon_set in (*TRAINING_SETS, *HELD_OUT_SETS)}
    np.savez(tmp_path / "icons.npz", **drawn | {"noto/umbrella": first, "noto/umbrella-with-rain-drops": second})
    assert load(tmp_path)["noto"]["umbrella"][0, 0, 0] == 1
    assert {word: int(sprite[0, 0, 0]) for word, sprite in load_seconds(tmp_path)["noto"].items()} == {"umbrella": 2}


def test_what_the_cache_lacks_is_rendered(cache: Path) -> None:
    assert set(load(cache)) == {icon_set.name for icon_set in (*TRAINING_SETS, *HELD_OUT_SETS)}
    assert [path.name for path in cache.glob("*.npz")] == ["icons.npz"]


def test_a_cache_of_an_earlier_version_gets_the_styles_that_it_lacks(cache: Path) -> None:
    np.savez(cache / "icons.npz", **{"noto/fox": np.zeros((SIZE, SIZE, 4), np.uint8)})
    assert set(load(cache)) == {icon_set.name for icon_set in (*TRAINING_SETS, *HELD_OUT_SETS)}
    assert load(cache)["noto"]["fox"].any()


def test_an_empty_cache_without_npm_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match=r"Install Node\.js"):
        load(tmp_path)


def test_without_the_renderer_it_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(PackageError, match=r"requirements-finetune\.txt"):
        load(cache)


def test_the_command_says_how_many(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cache", str(cache)]) == 0
    assert "twemoji" in capsys.readouterr().out and (cache / "icons.npz").exists()
