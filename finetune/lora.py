"""Which weights learn: LoRA beside the decoder's linear layers, or whole parts of the model.

What gets an adapter follows from the types of modules a family declares, read off the model itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from torch import nn

from app.errors import SettingsError, UnsupportedModelError
from app.families.base import Family, Training
from finetune.arguments import LoraArguments, ModelArguments


def training_of(family: Family) -> Training:
    """What fine-tuning may change in models of this family.

    Raises:
        UnsupportedModelError: nothing.
    """
    if family.training is None:
        raise UnsupportedModelError(f"{family.name} cannot be fine-tuned here yet.", "Choose another model.")
    return family.training


def fixed_weights(model: Any) -> set[str]:
    """Names of the weights that never learn, such as stored positions, as the model's class says.

    Loading forgets it, so a model without weights is asked.
    """
    with torch.device("meta"):
        empty = type(model)(model.config)
    return {name for name, parameter in empty.named_parameters() if not parameter.requires_grad}


def prepare(
    model: Any,
    training: Training,
    parts: ModelArguments,
    lora: LoraArguments,
    fixed: Collection[str] = (),
    exact: bool = True,
) -> Any:
    """The model with exactly those weights trainable that the arguments say; a `PeftModel` with LoRA.

    Args:
        fixed: names of weights that never learn.
        exact: hold what learns in fp32, whatever is computed in; small steps would be lost otherwise.

    Raises:
        SettingsError: nothing would learn, or a name fits no module.
    """
    if lora.use_lora:
        if lora.q_lora:
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        model = _adapted(model, training, parts, lora, exact)
    else:
        freeze(model, training, parts)
    keep_fixed(model, fixed)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise SettingsError("No part of the model would learn.", "Set --tune_llm, --tune_vision or --use_lora.")
    for parameter in model.parameters():
        if exact and parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def freeze(model: Any, training: Training, parts: ModelArguments) -> None:
    """Take the parts that shall not learn out of training."""
    for name, tuned in _parts(training, parts):
        if not tuned:
            model.get_submodule(name).requires_grad_(False)
            if name == training.llm:
                model.get_output_embeddings().requires_grad_(False)


def lora_config(model: nn.Module, training: Training, parts: ModelArguments, lora: LoraArguments) -> LoraConfig:
    """What PEFT is told: layers by their whole names, and the modules that learn in full.

    Raises:
        SettingsError: a name fits no module, or no layer is left.
    """
    saved = [name for name, tuned in _parts(training, parts) if tuned]
    saved += [name.strip() for name in (lora.lora_modules_to_save or "").split(",") if name.strip()]
    for name in saved:
        if not any(one == name or one.endswith(f".{name}") for one, _ in model.named_modules()):
            raise SettingsError(f"--lora_modules_to_save: the model has no module {name}.", "See its weight names.")
    targets = target_names(model, training.lora_layers, lora.lora_target_modules)
    if lora.lora_layers_to_transform is not None:
        targets = of_layers(targets, lora.lora_layers_to_transform, lora.lora_layers_pattern)
    try:
        return LoraConfig(
            r=lora.lora_r,
            lora_alpha=lora.lora_alpha,
            lora_dropout=lora.lora_dropout,
            bias=lora.lora_bias,  # type: ignore[arg-type]
            target_modules=targets,
            modules_to_save=saved or None,
        )
    except ValueError as error:
        raise SettingsError(f"The LoRA flags cannot be used: {error}") from error


def target_names(model: nn.Module, layers: Sequence[type[nn.Module]], pattern: str | None) -> list[str]:
    """Whole names of the linear layers that get an adapter.

    Args:
        layers: types of modules; all linear layers inside them are meant where there is no pattern.
        pattern: a regular expression of whole names, or ends of names with commas between.

    Raises:
        SettingsError: the pattern is none, or fits nothing.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if pattern is None:
        inside = [f"{name}." for name, module in model.named_modules() if isinstance(module, tuple(layers))]
        return [name for name in names if name.startswith(tuple(inside))]
    try:
        fits = re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"--lora_target_modules: {pattern!r} is no regular expression ({error}).") from None
    ends = tuple(f".{end.strip()}" for end in pattern.split(",") if end.strip())
    found = [name for name in names if fits.fullmatch(name) or f".{name}".endswith(ends)]
    if not found:
        raise SettingsError(
            f"--lora_target_modules: {pattern!r} fits none of the {len(names)} linear layers.",
            f"One of them is {names[-1]}.",
        )
    return found


def of_layers(names: Sequence[str], layers: Sequence[int], pattern: str | None) -> list[str]:
    """Those names that lie in layers of the given numbers.

    Args:
        pattern: name of the list that the layers stand in; None is any list.

    Raises:
        SettingsError: there is none.
    """
    number = re.compile(rf"(?:^|\.){re.escape(pattern) if pattern else '[^.]+'}\.(\d+)\.")
    found = [name for name in names if (at := number.search(name)) and int(at[1]) in layers]
    if not found:
        last = max((int(at[1]) for name in names if (at := number.search(name))), default=None)
        allowed = "the model has no such list" if last is None else f"allowed is 0 to {last}"
        raise SettingsError(f"--lora_layers_to_transform: got {' '.join(map(str, layers))}; {allowed}.")
    return found


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """How many numbers learn, and how many there are; as many as were there before DeepSpeed shared them out."""
    sizes = [(getattr(one, "ds_numel", one.numel()), one.requires_grad) for one in model.parameters()]
    return sum(size for size, learns in sizes if learns), sum(size for size, _ in sizes)


def _adapted(model: Any, training: Training, parts: ModelArguments, lora: LoraArguments, exact: bool) -> PeftModel:
    """The model with a new adapter, or with the one to go on with."""
    if lora.lora_weight_path:
        try:
            return PeftModel.from_pretrained(
                model, lora.lora_weight_path, is_trainable=True, autocast_adapter_dtype=exact
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise SettingsError(
                f"--lora_weight_path: {lora.lora_weight_path} cannot be loaded"
                f" ({str(error).splitlines()[0].rstrip('.')}).",
                "Name a folder with adapter_config.json and adapter_model.safetensors.",
            ) from error
    config = lora_config(model, training, parts, lora)
    # PEFT notes the folder of a model; what the user called it holds on other machines too.
    name = parts.model_name_or_path
    model.name_or_path = str(Path(name).resolve()) if Path(name).is_dir() else name
    try:
        return get_peft_model(model, config, autocast_adapter_dtype=exact)
    except ValueError as error:
        raise SettingsError(f"The LoRA flags cannot be used: {str(error).splitlines()[0]}") from error


def _parts(training: Training, parts: ModelArguments) -> Iterator[tuple[str, bool]]:
    """Names of the model's parts, and whether they learn in full."""
    yield training.llm, bool(parts.tune_llm)
    yield training.vision, bool(parts.tune_vision)
    yield training.resampler, parts.tune_resampler


def keep_fixed(model: nn.Module, fixed: Collection[str]) -> None:
    """PEFT makes whole modules trainable; what the model holds fixed, such as stored positions, stays so."""
    for name, parameter in model.named_parameters():
        plain = re.sub(r"^base_model\.model\.|modules_to_save\.[^.]+\.", "", name)
        if plain in fixed and "lora_" not in name:
            parameter.requires_grad_(False)
