"""The shape of a vision tower that a published config.json does not tell."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import safe_open

from app.errors import CheckpointError
from app.modeling.timm_vision import TimmVisionConfig
from app.texts import Phrase


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
                Phrase("file_not_tensors", name=path.name, type=type(error).__name__),
                Phrase("do_take_safetensors"),
            ) from error
        if name in tensors:
            return tuple(tensors[name].shape)
    return None


class TowerFromWeights:
    """For a config whose `vision_config` may be None: the weights beside the config.json tell it.

    Attributes:
        weight_names: of the tower and of the resampler.
        query_field: the field with the number of the resampler's queries.
    """

    weight_names: ClassVar[tuple[str, str]] = ("vpm", "resampler")
    query_field: ClassVar[str] = "query_num"
    vision_config: Any

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The config, completed if it is known where it was read."""
        checkpoint = kwargs.get("name_or_path")
        made = super().from_dict(config_dict, **kwargs)  # type: ignore[misc]
        if checkpoint:
            (made[0] if isinstance(made, tuple) else made).complete(checkpoint)
        return made

    def complete(self, checkpoint: Any) -> None:
        """Fill in the tower's shape and check what else the weights tell.

        Args:
            checkpoint: folder or hub id.

        Raises:
            CheckpointError: the weights contradict a field, or have a tower of unknown shape.
        """
        (tower, resampler), folder = self.weight_names, Path(str(checkpoint))
        queries, stated = stored_shape(folder, f"{resampler}.query"), getattr(self, self.query_field)
        if queries and queries[0] != stated:
            raise CheckpointError(
                Phrase(
                    "queries_differ", query_field=self.query_field, stated=stated, count=queries[0], resampler=resampler
                ),
                Phrase("do_set_queries", query_field=self.query_field),
            )
        if self.vision_config is None:
            kind = type(self).sub_configs_defaults["vision_config"].config_class  # type: ignore[attr-defined]
            self.vision_config = tower_config(kind, folder, f"{tower}.norm.weight")


def tower_config(kind: type[TimmVisionConfig], folder: Path, weight: str) -> TimmVisionConfig:
    """The tower of a checkpoint, found by its width.

    Args:
        kind: its config; the defaults are the published tower's.
        folder: the checkpoint; one that is no local folder is taken for the published one.
        weight: name of a weight as long as the tower is wide.

    Raises:
        CheckpointError: a width that is not known; names the field of config.json that can tell the shape.
    """
    shape = stored_shape(folder, weight)
    width = shape[0] if shape else kind.known[0]["hidden_size"]
    found = next((known for known in kind.known if known["hidden_size"] == width), None) or _described(folder, width)
    if found is None:
        raise CheckpointError(
            Phrase(
                "tower_width",
                width=width,
                weight=weight,
                known=", ".join(str(known["hidden_size"]) for known in kind.known),
            ),
            Phrase("do_vision_config"),
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
            Phrase("config_field", name=name, got=getattr(config, name), why=why),
            Phrase("do_check_checkpoint"),
        )
