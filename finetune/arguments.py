"""The flags of `python -m finetune`, under the names of the official scripts; light, so that `--help` is quick.

What is not here is a field of `transformers.TrainingArguments`, all of which are flags too (see `parsing`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def flag(default: Any, text: str, *aliases: str) -> Any:
    """A field with its help and further names."""
    return field(default=default, metadata={"help": text, "aliases": list(aliases)} if aliases else {"help": text})


@dataclass
class ModelArguments:
    """The model, and which of its parts learn."""

    model_name_or_path: str = flag("openbmb/MiniCPM-V-2_6", "folder of a checkpoint, or its name on the hub")
    source: str = flag("huggingface", "hub to fetch the model from: huggingface or modelscope")
    tune_vision: bool | None = flag(None, "train the vision tower, in full; by default yes, but no with LoRA")
    tune_llm: bool | None = flag(None, "train the language model in full; by default yes, but no with LoRA")
    tune_resampler: bool = flag(True, "train the resampler, in full, with LoRA too")


@dataclass
class DataArguments:
    """The samples."""

    data_path: str | None = flag(None, "samples to learn from: a JSON list or JSONL")
    eval_data_path: str | None = flag(None, "samples to measure on")
    media_root: str | None = flag(None, "folder that paths of media start at; by default that of the samples' file")
    model_max_length: int = flag(
        2048, "tokens of a sample; longer ones lose their last turns", "--max_length", "--max-length"
    )
    max_slice_nums: int | None = flag(None, "cells an image is cut into at most; by default as the model is configured")
    eval_samples: int = flag(8, "evaluation samples that the model answers, for a page in OUT/samples.html")
    check: bool = flag(False, "read all samples, say what is wrong with them, and train nothing")


@dataclass
class LoraArguments:
    """LoRA: small matrices beside the frozen weights."""

    use_lora: bool = flag(False, "train adapters instead of the language model's weights")
    q_lora: bool = flag(False, "with LoRA, hold the frozen weights in int4")
    lora_r: int = flag(64, "rank of the matrices")
    lora_alpha: int = flag(64, "their scale; what they add is multiplied by alpha / r")
    lora_dropout: float = flag(0.05, "share of their inputs left out in training")
    lora_target_modules: str | None = flag(
        None,
        "linear layers that get them: a pattern of whole names, or ends of names with commas between; by default all"
        " in the decoder",
    )
    lora_bias: str = flag("none", "biases that are trained: only none is taken")
    lora_modules_to_save: str | None = flag(None, "further modules trained in full, such as embed_tokens,lm_head")
    lora_layers_to_transform: list[int] | None = flag(None, "decoder layers that get them, such as 0 1")  # noqa: RUF009
    lora_layers_pattern: str | None = flag(None, "name of the list that these layers stand in, such as layers")
    lora_weight_path: str | None = flag(None, "folder of an adapter to go on training; means --use_lora true")

    def __post_init__(self) -> None:
        # The official scripts write "" for what is not set.
        for name in ("lora_target_modules", "lora_modules_to_save", "lora_layers_pattern", "lora_weight_path"):
            setattr(self, name, getattr(self, name) or None)
        self.use_lora = self.use_lora or self.q_lora or self.lora_weight_path is not None


OWN = (ModelArguments, DataArguments, LoraArguments)

# The fields of `TrainingArguments` that most runs set.
COMMON = {
    "output_dir": "folder for the result, checkpoints, loss curve and pages",
    "num_train_epochs": "times the samples are gone through",
    "max_steps": "steps to stop after, instead of epochs",
    "learning_rate": "highest step size",
    "lr_scheduler_type": "how it falls: linear, cosine, constant ...",
    "warmup_steps": "steps in which it rises; below 1, their share of all steps",
    "per_device_train_batch_size": "samples at once on a device",
    "gradient_accumulation_steps": "batches that make one step",
    "gradient_checkpointing": "true saves memory for some time",
    "bf16": "compute in bf16; by default where the GPU has it",
    "fp16": "compute in fp16, on older GPUs",
    "logging_steps": "steps between two lines of progress",
    "eval_strategy": "when to measure: no, steps or epoch",
    "eval_steps": "steps between two measurements",
    "save_steps": "steps between two checkpoints",
    "save_total_limit": "checkpoints kept at most",
    "resume_from_checkpoint": "folder of a checkpoint to go on from; true is the last one in OUT",
    "dataloader_num_workers": "processes that read and slice images",
    "deepspeed": "a DeepSpeed config, such as finetune/configs/ds_config_zero2.json",
    "seed": "of order and dropout",
    "report_to": "none, tensorboard, wandb ...",
}

# Where this command starts from something else than the library does.
DEFAULTS: dict[str, Any] = {
    "output_dir": "output",
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "logging_steps": 10,
    "bf16": None,
    "fp16": None,
    "disable_tqdm": True,
}
