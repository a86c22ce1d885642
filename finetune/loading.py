"""The model that is to learn, in the precision it learns in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

import app.modeling  # noqa: F401  (registers the models)
from app.engine.device import DtypeChoice
from app.engine.download import resolve_model
from app.engine.loader import context_of, quantization_config, readable_errors, runner_class
from app.errors import SettingsError
from app.families import all_families
from app.families.base import Family
from app.modeling.auto import find_member
from finetune.checkpoint import read_config
from finetune.lora import training_of
from finetune.parsing import Arguments

MOST = 1 << 20  # where a config.json names no limit


@dataclass(frozen=True, slots=True)
class Learner:
    """A model before training.

    Attributes:
        folder: where its files are.
        context: tokens that it can take.
    """

    model: Any
    processor: Any
    family: Family
    folder: Path
    context: int


def find_model(arguments: Arguments) -> tuple[Path, Family]:
    """The folder of the model, fetched if need be, and its family.

    Raises:
        ModelError: it is not to be found, or of no family that can be trained.
    """
    folder = resolve_model(arguments.model.model_name_or_path, arguments.model.source, lambda fraction, text: None)
    family: Family = find_member(all_families(), read_config(folder))
    training_of(family)
    return folder, family


def load_learner(arguments: Arguments) -> Learner:
    """Load the model.

    Raises:
        ModelError: the model cannot be loaded.
        SettingsError: it is quantised, and should learn in full.
    """
    folder, family = find_model(arguments)
    config = read_config(folder)
    if "quantization_config" in config and not arguments.lora.use_lora:
        raise SettingsError(f"{arguments.model.model_name_or_path} is quantised; its weights cannot learn.",
                            "Use --q_lora true, or the full checkpoint.")  # fmt: skip
    dtype = compute_dtype(arguments.training)
    options: dict[str, Any] = {"dtype": dtype}
    if arguments.lora.q_lora or "quantization_config" in config:
        options["device_map"] = {"": _device(arguments.training)}
    if arguments.lora.q_lora and "quantization_config" not in config:
        options["quantization_config"] = quantization_config(DtypeChoice(dtype, "int4"), family)
    with readable_errors():
        model, processor = runner_class(family).load(folder, family.model_class, **options)
    return Learner(model, processor, family, folder, context_length(folder))


def context_length(folder: Path) -> int:
    """Tokens that a model can take, prompt and answer together."""
    return context_of(read_config(folder)) or MOST


def compute_dtype(training: TrainingArguments) -> torch.dtype:
    """What the run computes in."""
    return torch.bfloat16 if training.bf16 else torch.float16 if training.fp16 else torch.float32


def shares_weights(training: TrainingArguments) -> bool:
    """Whether DeepSpeed or FSDP shares the weights out, and sees to their precision."""
    launched = any(os.environ.get(f"ACCELERATE_USE_{name}") == "true" for name in ("FSDP", "DEEPSPEED"))
    return launched or bool(training.fsdp) or training.deepspeed is not None


def _device(training: TrainingArguments) -> torch.device | int:
    local = os.environ.get("LOCAL_RANK")
    return int(local) if local and training.device.type == "cuda" else training.device
