"""The shape of a vision tower that a published config.json does not tell."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from app.errors import CheckpointError
from app.modeling.timm_vision import TimmVisionConfig


def stored_shape(folder: Path, name: str) -> tuple[int, ...] | None:
    """The shape of a weight in a checkpoint's files, or None if it is in none of them.

    Raises:
        CheckpointError: a file holds more than tensors, or is broken.
    """
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            if name in weights.keys():  # noqa: SIM118  (not a dict)
                return tuple(weights.get_slice(name).get_shape())
    for path in sorted(folder.glob("pytorch_model*.bin")):
        try:
            tensors = torch.load(path, map_location="meta", weights_only=True)
        except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
            raise CheckpointError(
                f"{path.name} is broken or holds more than tensors ({type(error).__name__}); it is not loaded.",
                "Take the file from the published repository, or weights as safetensors.",
            ) from error
        if name in tensors:
            return tuple(tensors[name].shape)
    return None


def complete(config: Any, checkpoint: Any, tower: str, resampler: str, query_field: str) -> Any:
    """A config with the tower's shape filled in, checked against the weights.

    Args:
        config: one whose `vision_config` may be None.
        checkpoint: folder or hub id.
        tower, resampler: names of these modules in the weights.
        query_field: the field with the number of the resampler's queries.

    Raises:
        CheckpointError: the weights contradict the field, or have a tower of unknown shape.
    """
    folder = Path(str(checkpoint))
    queries = stored_shape(folder, f"{resampler}.query") if folder.is_dir() else None
    if queries and queries[0] != getattr(config, query_field):
        raise CheckpointError(
            f"config.json says {query_field} = {getattr(config, query_field)}, but the weights have {queries[0]}"
            f" queries ({resampler}.query).",
            f"Set {query_field} to the number of the weights, or take both from the same repository.",
        )
    if config.vision_config is None:
        kind = type(config).sub_configs_defaults["vision_config"].config_class
        config.vision_config = tower_config(kind, folder, f"{tower}.norm.weight")
    return config


def tower_config(kind: type[TimmVisionConfig], folder: Path, weight: str) -> TimmVisionConfig:
    """The tower of a checkpoint, found by its width.

    Args:
        kind: its config; the defaults are the published tower's.
        folder: the checkpoint; one that is no local folder is taken for the published one.
        weight: name of a weight as long as the tower is wide.

    Raises:
        CheckpointError: a width that is not known; names the field of config.json that can tell the shape.
    """
    shape = stored_shape(folder, weight) if folder.is_dir() else None
    width = shape[0] if shape else kind.known[0]["hidden_size"]
    found = next((known for known in kind.known if known["hidden_size"] == width), None) or _described(folder, width)
    if found is None:
        raise CheckpointError(
            f"The vision tower is {width} wide ({weight}); its number of heads is known only for"
            f" {', '.join(str(known['hidden_size']) for known in kind.known)}.",
            "Give hidden_size, num_hidden_layers, num_attention_heads and intermediate_size as vision_config in"
            " config.json.",
        )
    return kind(**found)


def _described(folder: Path, width: int) -> dict[str, int] | None:
    """The shape in the tiny_vision.json that small checkpoints have inside them or beside them."""
    for path in (folder / "tiny_vision.json", folder.parent / "tiny_vision.json"):
        if path.is_file():
            fields = json.loads(path.read_text(encoding="utf-8"))
            names = {"embed_dim": "hidden_size", "depth_created": "num_hidden_layers", "num_heads":
                     "num_attention_heads", "mlp_hidden": "intermediate_size", "pos_grid": "table_side"}  # fmt: skip
            if fields.get("embed_dim") == width:
                return {ours: fields[theirs] for theirs, ours in names.items() if theirs in fields}
    return None


def require(config: Any, name: str, holds: bool, why: str) -> None:
    """Raises `CheckpointError` naming a field of config.json unless its value fits."""
    if not holds:
        raise CheckpointError(
            f"config.json says {name} = {getattr(config, name)!r}, but {why}.",
            "Check that the checkpoint is one of the model its config.json names.",
        )
