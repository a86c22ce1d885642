"""Font families: which there are, and that the cache is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune.tiny.fonts import (
    HELD_OUT_FAMILIES,
    TRAINING_FAMILIES,
    FontFamily,
    fetch,
    held_out_fonts,
    main,
    training_fonts,
)

ALL = (*TRAINING_FAMILIES, *HELD_OUT_FAMILIES)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that has all files, and no npm."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "fonts").mkdir()
    for family in ALL:
        for file in family.files:
            (tmp_path / "fonts" / Path(file).name).write_bytes(b"font")
    return tmp_path


def test_training_and_evaluation_share_no_family() -> None:
    assert len(TRAINING_FAMILIES) >= 14 and len(HELD_OUT_FAMILIES) >= 4
    assert not {family.name for family in TRAINING_FAMILIES} & {family.name for family in HELD_OUT_FAMILIES}


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_every_family_is_pinned_and_licensed(family: FontFamily) -> None:
    assert family.version.count(".") == 2 and family.license and family.files


def test_files_in_the_cache_are_not_fetched_again(cache: Path) -> None:
    fetch(cache)
    training, held_out = training_fonts(cache), held_out_fonts(cache)
    assert all(file.exists() for file in training + held_out)
    assert not set(training) & set(held_out)
    assert len(set(training)) == sum(len(family.files) for family in TRAINING_FAMILIES)


def test_a_file_that_cannot_be_fetched_ends_the_command(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training_fonts(cache)[0].unlink()
    assert main(["--cache", str(cache)]) == 1
    assert "npm was not found" in capsys.readouterr().err
