"""What a run cost, for the model card."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMANDS = (
    "pip install -r requirements-finetune.txt",
    "python -m finetune.tiny --cache CACHE --out OUT --processes 2 --compile",
)


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def write(path: Path, seed: int, stages: Sequence[tuple[str, int, float]]) -> None:
    """The record as JSON.

    Args:
        stages: name, pictures and seconds of each.
    """
    data: dict[str, Any] = {
        "seed": seed,
        "hours": round(sum(seconds for *_, seconds in stages) / 3600, 2),
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "stages": [
            {"name": name, "pictures": pictures, "hours": round(seconds / 3600, 2)}
            for name, pictures, seconds in stages
        ],
        "commands": list(COMMANDS),
    }
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
