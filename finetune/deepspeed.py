"""The DeepSpeed config of a command line, and what to do where DeepSpeed is not installed."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

from app.errors import SettingsError

SHIPPED = Path(__file__).parent / "configs"


def choose_deepspeed(path: str | None, notes: list[str]) -> str | None:
    """The config to train with: the file that was named, or the one of that name which ships here.

    Without DeepSpeed, a single process goes on without it: there is nothing to share out.

    Raises:
        SettingsError: the file is missing or no JSON object, or DeepSpeed is needed and not installed.
    """
    if not path:
        return None
    file = Path(path) if Path(path).is_file() else SHIPPED / Path(path).name
    config = _read(file, path)
    if find_spec("deepspeed"):
        return str(file)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 or _offloads(config):
        raise SettingsError(
            "--deepspeed was asked, but DeepSpeed is not installed.",
            "pip install deepspeed, or use accelerate launch --config_file finetune/configs/fsdp.yaml instead.",
        )
    notes.append("--deepspeed is not used: DeepSpeed is not installed, and one process has nothing to share out.")
    return None


def _read(file: Path, asked: str) -> dict[str, object]:
    try:
        config = json.loads(file.read_text("utf-8"))
    except OSError:
        shipped = ", ".join(sorted(one.name for one in SHIPPED.glob("ds_*.json")))
        raise SettingsError(f"--deepspeed: there is no file {asked}.", f"These ship here: {shipped}.") from None
    except ValueError as error:
        raise SettingsError(f"--deepspeed: {asked} is no JSON ({error}).") from None
    if not isinstance(config, dict):
        raise SettingsError(f"--deepspeed: {asked} holds no JSON object.")
    return config


def _offloads(config: dict[str, object]) -> bool:
    """Whether the config moves something to main memory, which one process needs DeepSpeed for as well."""
    zero = config.get("zero_optimization")
    parts = zero.values() if isinstance(zero, dict) else ()
    return any(isinstance(part, dict) and part.get("device", "none") != "none" for part in parts)
