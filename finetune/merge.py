"""An adapter and its model to a plain checkpoint: `python -m finetune merge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

import app.modeling  # noqa: F401  (registers the models)
from app.engine.download import resolve_model
from app.engine.loader import readable_errors, runner_class
from app.errors import AdapterError, SettingsError, UnsupportedModelError
from app.families import all_families
from app.families.base import Family
from app.modeling.adapters import APPLIED, PREFIX, AdapterWeights, read_adapter
from app.modeling.auto import find_member
from finetune.checkpoint import read_config, save_model, stored_dtype


def merge(adapter: Path, output: Path, base: str | None = None, source: str = "huggingface") -> Path:
    """Write a checkpoint with the adapter's change in its weights.

    Args:
        adapter: a folder of PEFT, of the official scripts or of SWIFT.
        output: a folder that is not there yet, or empty.
        base: the model it was trained from; None is the one it names.
        source: the hub to fetch that from.

    Returns:
        The folder of the base model.

    Raises:
        AppError: something of these cannot be used, or they do not fit each other.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SettingsError(f"--output: {output} is there already.", "Name a new or an empty folder.")
    weights = read_adapter(adapter)
    name = base or str(weights.config.get("base_model_name_or_path") or "")
    if not name:
        raise SettingsError("The adapter does not say which model it belongs to.", "Name it with --model.")
    folder = resolve_model(name, source)
    config = read_config(folder)
    if "quantization_config" in config:
        raise UnsupportedModelError(f"{name} is quantised; nothing can be added to its weights.",
                                    "Name the full checkpoint with --model.")  # fmt: skip
    family: Family = find_member(all_families(), config)
    dtype = stored_dtype(folder)
    with readable_errors():
        model, _ = runner_class(family).load(folder, family.model_class, dtype=dtype or "auto")
    save_model(merged(model, weights), folder, output, dtype, origin=name)
    return folder


def merged(model: Any, adapter: AdapterWeights) -> Any:
    """The model with the adapter's change added; it is changed itself.

    Raises:
        AdapterError: the adapter has weights that the model has no place for.
    """
    replace_weights(model, adapter.whole)
    if not adapter.lora:
        return model
    fields = {name: adapter.config[name] for name in APPLIED if name in adapter.config}
    try:
        tuned = get_peft_model(model, LoraConfig(target_modules=adapter.targets, **fields))
        loaded: Any = set_peft_model_state_dict(tuned, {PREFIX + name: one for name, one in adapter.lora.items()})
    except (ValueError, RuntimeError, KeyError) as error:
        raise AdapterError(f"The adapter does not fit the model ({str(error).strip().splitlines()[0]}).",
                           "Name the model that it was trained from with --model.") from error  # fmt: skip
    if loaded.unexpected_keys:
        raise _misfit(loaded.unexpected_keys)
    return tuned.merge_and_unload(safe_merge=True)


def replace_weights(model: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Put whole weights in the place of the model's own.

    Raises:
        AdapterError: the model has no such weight, or one of another shape.
    """
    shapes = {name: tuple(one.shape) for name, one in model.state_dict().items()}
    if wrong := [name for name, one in weights.items() if shapes.get(name) != tuple(one.shape)]:
        raise _misfit(wrong)
    model.load_state_dict(dict(weights), strict=False)


def _misfit(names: Sequence[str]) -> AdapterError:
    shown = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
    return AdapterError(
        f"The adapter has {len(names)} weights that the model has no place for ({shown}).",
        "Name the model that it was trained from with --model.",
    )
