"""How many cells an image is cut into in training: as the page cuts it, unless told otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.engine.loader import configured_defaults
from app.sampling import BY_NAME
from finetune.checkpoint import CONFIG, read_config

NAME = "max_slice_nums"
PREPROCESSOR = "preprocessor_config.json"


def configured_slices(folder: Path) -> int:
    """What the page takes for a model's folder."""
    return int(configured_defaults(read_config(folder)).get(NAME, BY_NAME[NAME].default))


def write_slices(folder: Path, slices: int) -> None:
    """Have a saved model say what it was trained with, in every file that says it."""
    if slices == configured_slices(folder):
        return
    for name in (CONFIG, PREPROCESSOR):
        file = folder / name
        if not file.is_file():
            continue
        config: dict[str, Any] = json.loads(file.read_text("utf-8"))
        place = config.get("slice_config")
        place = place if isinstance(place, dict) else config
        if name == CONFIG or NAME in place:
            place[NAME] = slices
            file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
