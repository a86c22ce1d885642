"""From the name of a model to a folder with its files: a folder as it is, or one fetched from a hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from app.engine.byte_progress import OnProgress
from app.engine.wanted_files import PICKLED
from app.errors import CheckpointError, ModelNotFoundError, SettingsError
from app.texts import Phrase

INDEX = "model.safetensors.index.json"
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def resolve_model(model: str, source: str = "huggingface", on_progress: OnProgress | None = None) -> Path:
    """The folder with the model's files, fetched first if it is not here.

    Code of a repository is never fetched, and pickled weights only where there are no safetensors.

    Args:
        model: a folder, or a hub id "owner/name".
        source: "huggingface" or "modelscope". HF_ENDPOINT, HF_HUB_OFFLINE and MODELSCOPE_ENDPOINT are respected.
        on_progress: told a fraction from 0 to 1 and what was done, from several threads.

    Raises:
        ModelNotFoundError: neither a folder with a config.json nor a repository that can be fetched.
    """
    folder = _local_folder(model)
    if folder is not None:
        return folder
    fetched: Path = _hub(source).fetch(model, on_progress)
    _check_complete(fetched, model)
    return fetched


def resolve_config(model: str, source: str = "huggingface") -> dict[str, Any]:
    """The model's config.json, read; of a repository only this file is fetched.

    Raises:
        ModelNotFoundError: as `resolve_model`.
        CheckpointError: the file is no JSON object.
    """
    folder = _local_folder(model)
    path: Path = folder / "config.json" if folder else _hub(source).fetch_file(model, "config.json")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as cause:
        raise CheckpointError(
            Phrase("config_not_json", model=model, cause=str(cause)), Phrase("do_fetch_again")
        ) from cause
    if not isinstance(config, dict):
        raise CheckpointError(Phrase("config_no_object", model=model, type=type(config).__name__))
    return config


def _local_folder(model: str) -> Path | None:
    """The folder of this name; None if it is a hub id."""
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelNotFoundError(Phrase("folder_no_config", model=model), Phrase("do_name_folder"))
        return path
    if path.exists() or not HUB_ID.fullmatch(model):
        got = Phrase("is_a_file") if path.exists() else Phrase("is_not_there")
        raise ModelNotFoundError(Phrase("model_not_found", model=model, got=got), Phrase("do_check_model"))
    return None


def _hub(source: str) -> ModuleType:
    """The module that talks to the hub, imported when it is chosen."""
    if source == "huggingface":
        from app.engine import huggingface

        return huggingface
    if source == "modelscope":
        from app.engine import modelscope

        return modelscope
    raise SettingsError(Phrase("source_unknown", source=source))


def _check_complete(folder: Path, model: str) -> None:
    """A cached folder may lack files when the hub cannot be asked for the rest."""
    missing = [name for name in ("config.json", *_shards(folder)) if not (folder / name).is_file()]
    if not missing and not any(folder.glob("*.safetensors")) and not any(folder.glob(PICKLED)):
        missing = [Phrase("the_weights")]
    if missing:
        raise ModelNotFoundError(
            Phrase("incomplete_more" if len(missing) > 1 else "incomplete", model=model, name=missing[0]),
            Phrase("do_go_online"),
        )


def _shards(folder: Path) -> list[str]:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    weights: Mapping[str, str] = index.get("weight_map", {})
    return sorted(set(weights.values()))
