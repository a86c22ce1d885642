from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.__main__ import main
from finetune.parsing import parse_arguments
from tests.checkpoints import folder
from tests.finetune.runs import data, run

__all__ = ["data"]
ROOT = Path(__file__).parents[2]
MODEL = str(folder("minicpm-v-2_6"))


def test_help_is_quick_and_loads_nothing() -> None:
    code = "import sys; from finetune.__main__ import main; main(['--help']); print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--data_path" in output and "merge" in output and output.endswith("False\n")


def test_help_of_merge(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["merge", "--help"])
    assert "--adapter" in capsys.readouterr().out


def test_all_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help-all"]) == 0
    assert "--neftune_noise_alpha" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--lora_rr", "8"], 2, "--lora_rr is no flag here."),
        (["--use_cpu", "true"], 2, "--data_path is missing."),
        (["--data_path", "nowhere.json", "--model_name_or_path", MODEL, "--use_cpu", "true"], 1, "nowhere.json"),
        (["merge", "--output", "x"], 2, "--adapter"),
        (["merge", "--adapter", "nowhere", "--output", "x"], 1, "nowhere"),
    ],
)
def test_errors_are_one_line(argv: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ") and words in said and said.count("\n") == 1


def test_a_model_that_is_not_there(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--data_path", str(data), "--model_name_or_path", str(data.parent / "none"), "--use_cpu", "true"]
    assert main(argv) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_check_trains_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    argv = ["--check", "--data_path", str(data), "--model_name_or_path", MODEL, "--output_dir", str(out), "--use_cpu",
            "true"]  # fmt: skip
    assert main(argv) == 0
    assert "4 of 4 samples can be trained on." in capsys.readouterr().out
    entries = json.loads(data.read_text())
    entries[2]["image"] = "missing.png"
    data.write_text(json.dumps(entries))
    assert main(argv) == 1
    said = capsys.readouterr().out
    assert "3 of 4 samples can be trained on." in said and "missing or broken media" in said
    assert not out.exists()


def test_a_folder_of_another_run_is_not_mixed_up(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {"use_lora": "true", "max_steps": 1}
    run("minicpm-v-2_6", data, tmp_path / "out", **flags, save_strategy="steps", save_steps=1)
    argv = ["--data_path", str(data), "--model_name_or_path", MODEL, "--output_dir", str(tmp_path / "out"),
            "--use_cpu", "true"]  # fmt: skip
    assert main(argv) == 2
    assert "checkpoints of another run" in capsys.readouterr().err
    assert main([*argv, "--resume_from_checkpoint", str(tmp_path)]) == 2
    assert "is no checkpoint" in capsys.readouterr().err
    argv[argv.index("--output_dir") + 1] = str(tmp_path / "new")
    assert main([*argv, "--resume_from_checkpoint", "true"]) == 2
    assert "has no checkpoint" in capsys.readouterr().err
    # A run that starts anew and stops early has the lower number, and is the one to go on from all the same.
    (tmp_path / "out" / "checkpoint-1").rename(tmp_path / "out" / "checkpoint-1000")
    run("minicpm-v-2_6", data, tmp_path / "out", **flags, overwrite_output_dir="true",
        save_strategy="steps", save_steps=1)  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").glob("*checkpoint*")) == [
        "checkpoint-1",
        "replaced-checkpoint-1000",
    ]
    rows = run("minicpm-v-2_6", data, tmp_path / "out", **flags | {"max_steps": 2}, resume_from_checkpoint="true")
    assert [row["step"] for row in rows if "loss" in row] == [1, 2]


def test_merge_by_the_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("minicpm-v-2_6", data, tmp_path / "adapter", use_lora="true", lora_r=2, max_steps=1)
    argv = ["merge", "--adapter", str(tmp_path / "adapter"), "--output", str(tmp_path / "merged")]
    assert main(argv) == 0
    assert "has the merged model" in capsys.readouterr().out
    assert (tmp_path / "merged" / "config.json").is_file()


def commands(page: str) -> list[list[str]]:
    """What follows `python -m finetune` wherever a page has it with all its flags."""
    text = (ROOT / page).read_text("utf-8").replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"python -m finetune (--.*?data_path[^`\n]*)", text)]


@pytest.mark.parametrize("page", ["README.md", "docs/finetune.md"])
def test_commands_of_the_pages_are_understood(page: str) -> None:
    found = commands(page)
    assert found
    for words in found:
        assert parse_arguments([*words, "--use_cpu", "true"]).data.data_path == "train.json"
