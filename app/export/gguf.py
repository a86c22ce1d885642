"""A checkpoint as GGUF: the language model, the vision tower with the resampler, and a Modelfile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.errors import CheckpointError, SettingsError
from app.export.members import member_of
from app.texts import Phrase


def export(folder: Path, out: Path, precision: str = "f16") -> list[Path]:
    """Write the files; returns their paths.

    Args:
        folder: a checkpoint.
        out: made if it is not there; files of the same names are replaced.
        precision: of the language model. The tower is f32 if that is, else f16.

    Raises:
        ModelError: the checkpoint cannot be exported.
        SettingsError: the library that writes GGUF is missing, or `out` cannot be written to.
    """
    try:
        import gguf  # noqa: F401
    except ImportError as cause:
        raise SettingsError(Phrase("gguf_missing"), Phrase("do_install_export")) from cause
    from app.export import container, language, modelfile, resampler, tokenizer, vision
    from app.export.weights import Weights

    raw = read_config(folder)
    family, member = member_of(raw)
    config = family.config_class.from_pretrained(folder)
    if hasattr(config, "complete"):  # what the weights alone tell
        config.complete(folder)
    picture = read_picture(folder, raw)
    weights = Weights(folder)
    tower_precision = "f32" if precision == "f32" else "f16"
    try:
        out.mkdir(parents=True, exist_ok=True)
        model = container.write(
            out / f"model-{precision}.gguf",
            member.architecture,
            [
                lambda writer: language.describe(writer, raw, member),
                lambda writer: tokenizer.describe(writer, folder, raw, member),
            ],
            language.tensors(weights, raw, member),
            precision,
        )
        tower = container.write(
            out / f"mmproj-{tower_precision}.gguf",
            "clip",
            [lambda writer: vision.describe(writer, config, picture, weights, member)],
            vision.tensors(weights, config, picture["size"], member) + resampler.tensors(weights, config, member),
            tower_precision,
        )
        context = raw["max_position_embeddings"]
        return [model, tower, modelfile.write(out / "Modelfile", (model, tower), member, family, context)]
    except OSError as cause:
        raise SettingsError(
            Phrase("out_not_written", out=out, strerror=cause.strerror), Phrase("do_other_folder")
        ) from cause


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise CheckpointError(Phrase("folder_config_unread", folder=folder)) from cause
    return config


def read_picture(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """How pictures are prepared: side of a slice in pixels, mean and deviation of the channels.

    Raises:
        CheckpointError: the preprocessor_config.json cannot be read.
    """
    path = folder / "preprocessor_config.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as cause:
        raise CheckpointError(Phrase("file_unread", name=path.name), Phrase("do_take_published")) from cause
    half = [0.5, 0.5, 0.5]
    return {
        "size": stored.get("scale_resolution") or config.get("scale_resolution") or config["image_size"],
        "mean": stored.get("norm_mean", half),
        "std": stored.get("norm_std", half),
    }
