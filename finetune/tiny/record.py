"""What a run cost, for the model card."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "training.json"
COMMANDS = (
    "pip install -r requirements-finetune.txt",
    "python -m finetune.tiny --cache CACHE --out OUT --processes 2 --compile",
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a training: how many pictures it saw and how many seconds it took."""

    name: str
    pictures: int
    seconds: float


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def write(path: Path, seed: int, stages: Sequence[Stage]) -> None:
    """The record as JSON."""
    data: dict[str, Any] = {
        "seed": seed,
        "hours": round(sum(stage.seconds for stage in stages) / 3600, 2),
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "stages": [
            {"name": stage.name, "pictures": stage.pictures, "hours": round(stage.seconds / 3600, 3)}
            for stage in stages
        ],
        "commands": list(COMMANDS),
    }
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")


def read(path: Path) -> list[Stage]:
    """The stages of a record."""
    stages = json.loads(path.read_text("utf-8"))["stages"]
    return [Stage(stage["name"], stage["pictures"], stage["hours"] * 3600) for stage in stages]
