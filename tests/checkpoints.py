"""The tiny checkpoints there are: each member of the family that has golden files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from app.families import all_families
from app.families.base import Family
from app.modeling.auto import find_member

ROOT = Path(__file__).parent / "golden"
REQUIRED = ("minicpm-v-2_6", "minicpm-llama3-v-2_5")
CHECKPOINTS = tuple(sorted({*REQUIRED, *(path.parents[1].name for path in ROOT.glob("*/checkpoint/config.json"))}))


def folder(name: str) -> Path:
    return ROOT / name / "checkpoint"


def config_of(name: str) -> dict[str, Any]:
    return json.loads((folder(name) / "config.json").read_text("utf-8"))


def untrained(path: Path) -> Path:
    """A checkpoint whose config.json says that its weights are random, written into a folder below `path`.

    Its answers end by their length alone: no token that ends one is ever likely, on whichever processor.
    """
    name = "minicpm-v-2_6"
    copy = Path(shutil.copytree(folder(name), path / "untrained"))
    (copy / "config.json").write_text(json.dumps(config_of(name) | {"random_weights": True}))
    added = json.loads((copy / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    for shard in copy.glob("*.safetensors"):
        weights = load_file(shard)
        if (head := weights.get("llm.lm_head.weight")) is not None:
            head[[token["id"] for token in added if token["content"] in family_of(name).terminators]] = 0
            save_file(weights, shard, {"format": "pt"})
    return copy


def family_of(name: str) -> Family:
    family: Family = find_member(all_families(), config_of(name))
    return family
