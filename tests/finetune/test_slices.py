"""Training cuts images as the page does."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from finetune.__main__ import main
from finetune.slices import configured_slices, write_slices
from tests.checkpoints import folder
from tests.finetune.conftest import talk
from tests.finetune.runs import data, run

__all__ = ["data"]
EMBEDDED = Path(__file__).parents[2] / "assets" / "tiny-minicpm-v"
MODEL = folder("minicpm-v-2_6")


def tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> int:
    """Of a large picture, a question and an answer, as --check counts them."""
    Image.new("RGB", (1344, 1344), "red").save(tmp_path / "large.png")
    path = tmp_path / "large.json"
    path.write_text(json.dumps([talk("What?", "Red.", image="large.png")]), "utf-8")
    argv = ["--check", "true", "--data_path", str(path), "--model_name_or_path", str(EMBEDDED), "--use_cpu", "true"]
    assert main([*argv, *flags]) == 0
    found = re.search(r"([\d,]+) tokens", capsys.readouterr().out)
    assert found
    return int(found[1].replace(",", ""))


def test_the_models_own_number_holds_unless_another_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = json.loads((EMBEDDED / "config.json").read_text("utf-8"))["slice_config"]["max_slice_nums"]
    assert configured_slices(EMBEDDED) == own != 9
    usual = tokens(tmp_path, capsys)
    assert usual == tokens(tmp_path, capsys, "--max_slice_nums", str(own))
    assert usual < tokens(tmp_path, capsys, "--max_slice_nums", "9")


def test_a_saved_model_says_what_it_was_trained_with(data: Path, tmp_path: Path) -> None:
    usual = configured_slices(MODEL)
    run("minicpm-v-2_6", data, tmp_path / "out", max_steps=1, max_slice_nums=usual - 2)
    assert configured_slices(tmp_path / "out") == usual - 2
    processor = json.loads((tmp_path / "out" / "preprocessor_config.json").read_text("utf-8"))
    assert processor["max_slice_nums"] == usual - 2


def test_an_adapter_cannot_so_the_user_is_told(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("minicpm-v-2_6", data, tmp_path / "out", max_steps=1, max_slice_nums=3, use_lora="true")
    assert "set Max Slices to 3" in capsys.readouterr().err


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    shutil.copyfile(MODEL / "config.json", tmp_path / "config.json")
    write_slices(tmp_path, configured_slices(MODEL))
    assert (tmp_path / "config.json").read_bytes() == (MODEL / "config.json").read_bytes()
