"""The model card says what was measured, misses included, and whose drawings were used."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from app.errors import CheckpointError
from finetune.tiny import __main__ as command
from finetune.tiny.card import AGAIN, attribution, card, main, measured, weights
from finetune.tiny.fonts import HELD_OUT_FAMILIES, TRAINING_FAMILIES
from finetune.tiny.icons import TRAINING_SETS
from finetune.tiny.photographs import ALBUMS

EVALUATION: dict[str, Any] = {
    "decode": "greedy",
    "per_skill": 50,
    "seed": 3,
    "skills": {
        "colour": {"aim": 0.95, "example": "What colour?", "seen": {"score": 0.99}, "drawer2": {"score": 0.97}},
        "count": {"aim": 0.9, "example": "How many?", "seen": {"score": 0.93}, "drawer2": {"score": 0.412}},
        "page": {"aim": 0.9, "example": "Read.", "drawer2": {"score": 0.9}},
    },
}
TRAINING: dict[str, Any] = {
    "seed": 11,
    "hours": 5.25,
    "machine": {"processor": "a processor", "cores": 2},
    "stages": [{"name": "tower", "pictures": 120_000, "hours": 1.5}, {"name": "all", "pictures": 9, "hours": 3.75}],
    "commands": ["python -m finetune.tiny --cache DIR"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights of 10 + 6 numbers in two shards."""
    save_file({"a": torch.zeros(2, 5)}, tmp_path / "model-1.safetensors", metadata={"format": "pt"})
    save_file({"b": torch.zeros(6, dtype=torch.bfloat16)}, tmp_path / "model-2.safetensors")
    return tmp_path


def row(text: str, skill: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {skill} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_scores_stand_as_measured_and_misses_in_bold() -> None:
    text = measured(EVALUATION)
    assert row(text, "colour") == ["colour", "What colour?", "0.990", "0.970", "0.95"]
    assert row(text, "count")[2:] == ["0.930", "**0.412**", "0.90"]
    assert row(text, "page")[2:] == ["", "0.900", "0.90"]
    assert text.endswith("Below the aim somewhere (bold): count.")


def test_skills_that_were_asked_less_often_are_named(folder: Path) -> None:
    skills = EVALUATION["skills"]
    rare = skills["colour"] | {"seen": skills["colour"]["seen"] | {"count": 3}}
    text = card(folder, EVALUATION | {"skills": skills | {"colour": rare}}, TRAINING)
    assert "for each skill and generator (colour: 3), asked" in text
    assert "for each skill and generator, asked" in card(folder, EVALUATION, TRAINING)


def test_times_are_told_where_they_were_measured(folder: Path) -> None:
    assert "loaded in" not in card(folder, EVALUATION, TRAINING)
    speed = {"load": 0.456, "first_token": 0.051, "answer": 0.104, "pictures": 12}
    text = card(folder, EVALUATION | {"speed": speed, "machine": {"cores": 2}}, TRAINING)
    assert "On 2 cores it is loaded in 0.46 s, gives its first token 0.05 s after" in text
    assert "the whole answer after 0.10 s (medians of 12 questions" in text


def test_it_says_so_when_all_is_reached() -> None:
    skills = {"colour": EVALUATION["skills"]["colour"]}
    assert measured({"skills": skills}).endswith("All aims are reached.")


def test_parameters_and_size_come_from_the_files(folder: Path) -> None:
    count, size = weights(folder)
    assert count == 16 and size == sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def test_every_set_and_font_is_attributed() -> None:
    text = attribution()
    for icon_set in TRAINING_SETS:
        assert f"{icon_set.package} {icon_set.version}" in text and icon_set.license in text
    for family in (*TRAINING_FAMILIES, *HELD_OUT_FAMILIES):
        assert f"{family.package} {family.version}" in text
    for album in ALBUMS:
        (line,) = [line for line in text.splitlines() if f"{album.package} {album.version}" in line]
        assert album.license in line and album.authors in line
    (line,) = [line for line in text.splitlines() if "twemoji" in line]
    assert "CC-BY-4.0" in line and "evaluation only" in line


def test_the_recipe_is_recorded(folder: Path) -> None:
    text = card(folder, EVALUATION, TRAINING)
    assert "| tower | 120,000 | 1.5 |" in text
    assert "5.2 hours on 2 cores (a processor), seed 11" in text
    assert "```bash\npython -m finetune.tiny --cache DIR\n```" in text
    assert text.startswith("---\nlicense: apache-2.0\n")


SITTINGS = [
    {"stage": "towers", "from": 0, "to": 90, "hours": 1.5, "processes": 1, "flags": {"pictures": 90, "seed": 7}},
    {"stage": "learn", "from": 0, "to": 50, "hours": 2, "processes": 2, "flags": {"pictures": 80, "seed": 8}},
    {"stage": "learn", "from": 50, "to": 80, "hours": 1, "processes": 2, "flags": {"pictures": 80, "few": 3}},
]


def test_every_sitting_is_shown_as_its_command(folder: Path) -> None:
    kept = {name: value for name, value in TRAINING.items() if name not in ("seed", "commands")}
    text = card(folder, EVALUATION, kept | {"sittings": SITTINGS})
    assert "5.2 hours on 2 cores (a processor), in 3 sittings. All of them again" in text
    assert "\npython -m finetune.tiny --cache CACHE --out OUT --plan training.json\n" in text
    ran = [line for line in text.splitlines() if line.startswith(("# towers", "# learn", "python -m finetune.tiny.",
                                                                  "python -m torch"))]  # fmt: skip
    together = "python -m torch.distributed.run --standalone --nproc-per-node 2 -m finetune.tiny.learn"
    assert ran == [
        "# towers: pictures 0 to 90, 1.5 hours",
        "python -m finetune.tiny.towers --cache CACHE --out OUT --pictures 90 --seed 7",
        "# learn: pictures 0 to 50, 2.0 hours",
        f"{together} --cache CACHE --out OUT --pictures 80 --seed 8 --until 50",
        "# learn: pictures 50 to 80, 1.0 hours",
        f"{together} --cache CACHE --out OUT --pictures 80 --few 3",
    ]


def test_a_record_that_lacks_sittings_says_so_and_promises_nothing(folder: Path) -> None:
    text = card(folder, EVALUATION, TRAINING | {"sittings": [SITTINGS[0], SITTINGS[2]]})
    assert "in 2 sittings; what learn learned from picture 0 to 50 was not recorded." in text
    assert "--plan" not in text and "--few 3" in text


def test_the_one_command_is_understood() -> None:
    install, again = map(shlex.split, AGAIN)
    assert Path(install[-1]).exists() and again[:3] == ["python", "-m", "finetune.tiny"]
    assert command.parser().parse_args(again[3:]).plan == Path("training.json")


def test_the_command_writes_the_card(folder: Path, tmp_path: Path) -> None:
    evaluation, training = tmp_path / "e.json", tmp_path / "t.json"
    evaluation.write_text(json.dumps(EVALUATION))
    training.write_text(json.dumps(TRAINING))
    flags = ["--model", str(folder), "--evaluation", str(evaluation), "--training", str(training)]
    assert main(flags) == 0
    assert (folder / "README.md").read_text("utf-8") == card(folder, EVALUATION, TRAINING)


@pytest.mark.parametrize("field", TRAINING)
def test_a_record_without_a_field_is_refused(folder: Path, field: str) -> None:
    record = {name: value for name, value in TRAINING.items() if name != field}
    with pytest.raises(CheckpointError, match=field):
        card(folder, EVALUATION, record)


def test_files_that_cannot_be_read_are_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("[1")
    flags = ["--model", str(folder), "--evaluation", str(broken), "--training", str(broken)]
    assert main(flags) == 1
    assert "broken.json" in capsys.readouterr().err and not (folder / "README.md").exists()


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no \.safetensors"):
        weights(tmp_path)
