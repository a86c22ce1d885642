"""Short training runs for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from finetune.__main__ import main
from finetune.progress import read_log
from tests.checkpoints import folder
from tests.finetune.conftest import talk

COLOURS = {"red": "blip", "blue": "stop", "white": "yes", "black": "no"}
QUESTION = "<image>\nWhat is this?"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four pictures of one colour each, and a word for each."""
    return write_colours(tmp_path)


def write_colours(folder: Path) -> Path:
    """The pictures and the data file, which is returned."""
    entries = []
    for index, (colour, word) in enumerate(COLOURS.items()):
        Image.new("RGB", (80, 60), colour).save(folder / f"{colour}.png")
        entries.append(talk(QUESTION, word, image=f"{colour}.png") | {"id": str(index)})
    path = folder / "train.json"
    path.write_text(json.dumps(entries), "utf-8")
    return path


def run(model: str | Path, data: Path, out: Path, **flags: Any) -> list[dict[str, Any]]:
    """Train by the command line, two pictures a step, and return the rows of the log."""
    base = folder(model) if isinstance(model, str) else model
    given: Mapping[str, Any] = {
        "model_name_or_path": base,
        "data_path": data,
        "output_dir": out,
        "max_steps": 6,
        "per_device_train_batch_size": 2,
        "learning_rate": "3e-3",
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "use_cpu": "true",
    } | flags
    argv = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    assert main(argv) == 0
    return read_log(out / "log.jsonl")


def losses(rows: list[dict[str, Any]]) -> list[float]:
    return [row["loss"] for row in rows if "loss" in row]


def state_of(model: Any) -> dict[str, torch.Tensor]:
    """A copy of the weights."""
    return {name: weight.clone() for name, weight in model.state_dict().items()}
