"""A command line to checked arguments: the library's parser, with the flags it has dropped and readable errors."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NoReturn

import torch
from transformers import HfArgumentParser, TrainingArguments
from transformers.hf_argparser import string_to_bool
from transformers.integrations import get_available_reporting_integrations

from app.errors import SettingsError
from finetune.arguments import DEFAULTS, OWN, DataArguments, LoraArguments, ModelArguments
from finetune.deepspeed import choose_deepspeed

# Flags of known command lines that the library calls otherwise today.
RENAMED: dict[str, tuple[str, Any]] = {
    "evaluation_strategy": ("eval_strategy", str),
    "warmup_ratio": ("warmup_steps", float),
    "no_cuda": ("use_cpu", string_to_bool),
    "per_gpu_train_batch_size": ("per_device_train_batch_size", int),
    "per_gpu_eval_batch_size": ("per_device_eval_batch_size", int),
}
# Flags of known command lines that mean nothing here, and why.
IGNORED = {
    "llm_type": "the checkpoint itself says which language model it has",
    "lora_layer_replication": "the official scripts do not use it either",
    "logging_dir": "the loss curve lies in the output folder; TENSORBOARD_LOGGING_DIR moves TensorBoard's files",
    "cache_dir": "HF_HOME says where models are kept",
    "save_safetensors": "weights are always saved as safetensors",
}
# Fields that the library had once and has no more; a list to tell a user why a flag of an old command line fails.
GONE = frozenset(
    """adafactor dispatch_batches fp16_backend fp16_opt_level fsdp_min_num_params fsdp_transformer_layer_cls_to_wrap
    group_by_length half_precision_backend include_inputs_for_metrics include_tokens_per_second jit_mode_eval
    mp_parameters past_index push_to_hub_model_id push_to_hub_organization push_to_hub_token ray_scope sharded_ddp
    split_batches torchdynamo tp_size tpu_metrics_debug tpu_num_cores use_ipex use_legacy_prediction_loop
    use_mps_device xpu_backend""".split()
)
# How much of a word must be right for a guess at it.
NEAR = 0.8
# The model takes its inputs whole, the loss is that of its labels, and progress counts tokens. The last is the older
# name of a field, whose use the library warns of.
FIXED: dict[str, Any] = {
    "remove_unused_columns": False,
    "label_names": ["labels"],
    "include_num_input_tokens_seen": "non_padding",
    "gradient_checkpointing": None,
}


@dataclass(frozen=True, slots=True)
class Arguments:
    """All that a command line says.

    Attributes:
        overwrite: the output folder may hold checkpoints of another run.
        notes: what was decided otherwise than asked, one sentence each.
    """

    model: ModelArguments
    data: DataArguments
    lora: LoraArguments
    training: TrainingArguments
    overwrite: bool = False
    notes: tuple[str, ...] = ()


class Parser(HfArgumentParser):
    """The library's parser; its errors are `SettingsError`s."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line."""
        raise SettingsError(f"{message.removeprefix('argument ').rstrip('.')}.", "See python -m finetune --help.")


def build_parser() -> Parser:
    """Every flag there is."""
    parser = Parser((*OWN, TrainingArguments), prog="python -m finetune", allow_abbrev=False)
    for name, (new, kind) in RENAMED.items():
        switch: dict[str, Any] = {"nargs": "?", "const": True} if kind is string_to_bool else {}
        parser.add_argument(f"--{name}", dest=new, type=kind, default=argparse.SUPPRESS, help=f"the same as --{new}",
            **switch)  # fmt: skip
    for name, reason in IGNORED.items():
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, nargs="?", help=f"accepted, not used: {reason}")
    parser.add_argument("--overwrite_output_dir", type=string_to_bool, nargs="?", const=True, default=False,
        help="the output folder may hold checkpoints of another run")  # fmt: skip
    parser.set_defaults(**DEFAULTS)
    return parser


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """The arguments of a command line.

    Raises:
        SettingsError: an unknown flag, or a value that cannot be used.
    """
    parser = build_parser()
    namespace, unknown = parser.parse_known_args(list(argv))
    _reject(unknown, parser)
    values = vars(namespace)
    notes = [f"--{name} is accepted and not used: {reason}." for name, reason in IGNORED.items() if name in values]
    _choose_precision(values, notes)
    _choose_reporters(values, notes)
    _name_idle(values, notes)
    values["deepspeed"] = choose_deepspeed(values["deepspeed"], notes)
    values |= FIXED | {
        "activation_checkpointing": values["activation_checkpointing"] or values["gradient_checkpointing"]
    }
    try:
        model, data, lora, training = parser.parse_dict(values, allow_extra_keys=True)
    except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
        raise SettingsError(f"The flags cannot be used: {_first_line(error)}.", "See --help.") from error
    return _checked(Arguments(model, data, lora, training, bool(values["overwrite_output_dir"]), tuple(notes)))


def _reject(unknown: Sequence[str], parser: Parser) -> None:
    """Name what is no flag, and the flag that may be meant."""
    if not unknown:
        return
    name = unknown[0].split("=")[0]
    if not name.startswith("--"):
        raise SettingsError(f"{name!r} belongs to no flag.", "Write --flag value; see --help.")
    if name.removeprefix("--").replace("-", "_") in GONE:
        raise SettingsError(f"{name} is gone: older versions of transformers had it.", "Leave it out.")
    known = sorted(flag for flag in parser._option_string_actions if flag.startswith("--"))
    near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
    raise SettingsError(f"{name} is no flag here.", f"Is {near[0]} meant?" if near else "See --help and --help-all.")


def _choose_precision(values: dict[str, Any], notes: list[str]) -> None:
    """bf16 where nothing was said and the GPU computes it; the library would take fp32."""
    unsaid = values["bf16"] is None and values["fp16"] is None
    capable = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if unsaid and capable and not values["use_cpu"]:
        values["bf16"] = True
        notes.append("Computing in bf16, which this GPU has; --bf16 false takes fp32.")
    values["bf16"], values["fp16"] = bool(values["bf16"]), bool(values["fp16"])
    if values["fp16"] and (values["use_cpu"] or not _has_accelerator()):
        raise SettingsError("--fp16 true needs a GPU.", "On a CPU use --bf16 true, or neither for fp32.")


def _has_accelerator() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _choose_reporters(values: dict[str, Any], notes: list[str]) -> None:
    """The trackers that are installed; a missing one is no reason not to train."""
    asked = values["report_to"] or "none"
    wanted = [asked] if isinstance(asked, str) else list(asked)
    known = get_available_reporting_integrations()
    missing = [name for name in wanted if name not in ("none", "all", *known)]
    values["report_to"] = [name for name in wanted if name not in missing] or "none"
    for name in missing:
        notes.append(f"--report_to {name}: it is not installed, so the curve is in the output folder alone.")


def _name_idle(values: dict[str, Any], notes: list[str]) -> None:
    """Flags of a new adapter, where one goes on learning."""
    if not values["lora_weight_path"]:
        return
    if not (values["use_lora"] or values["q_lora"]):
        notes.append("--lora_weight_path means --use_lora true: an adapter learns, not the whole model.")
    usual = vars(LoraArguments())
    own = [name for name in usual if name not in ("use_lora", "q_lora", "lora_weight_path")]
    idle = [name for name in own if (values[name] or None) != usual[name]]
    idle += [name for name in ("tune_vision", "tune_llm") if values[name]]
    notes += [f"--{name} is not used: the adapter of --lora_weight_path has its own." for name in idle]


def _checked(arguments: Arguments) -> Arguments:
    """The arguments, if they fit each other.

    Raises:
        SettingsError: they do not.
    """
    model, data, lora = arguments.model, arguments.data, arguments.lora
    if lora.use_lora and model.tune_llm:
        raise SettingsError(
            "--use_lora true and --tune_llm true exclude each other: LoRA leaves the language model's weights as they"
            " are.",
            "Leave one of them out.",
        )
    if not data.data_path:
        raise SettingsError("--data_path is missing.", "Give the file of samples to learn from.")
    if lora.q_lora and find_spec("bitsandbytes") is None:
        raise SettingsError("--q_lora true needs bitsandbytes.", "pip install -r requirements-finetune.txt")
    for name, value in (("lora_r", lora.lora_r), ("lora_alpha", lora.lora_alpha),
                        ("model_max_length", data.model_max_length)):  # fmt: skip
        if value < 1:
            raise SettingsError(f"--{name}: got {value}, allowed is 1 or more.")
    if lora.lora_bias != "none":
        raise SettingsError(
            f"--lora_bias: got {lora.lora_bias!r}, allowed is none: biases that were trained change the model's own"
            " answers too, so the page takes no adapter with them.",
            "Leave it out.",
        )
    if arguments.training.do_eval and not data.eval_data_path and arguments.training.eval_strategy != "no":
        raise SettingsError("--eval_strategy needs samples to measure on.", "Give --eval_data_path, or leave it out.")
    # None means: as usual for this kind of training.
    for part in ("tune_vision", "tune_llm"):
        if getattr(model, part) is None:
            setattr(model, part, not lora.use_lora)
    return arguments


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
