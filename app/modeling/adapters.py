"""Fine-tuned weights in PEFT's folders: what a folder holds, whichever program wrote it.

Names of weights are those of the model as it is loaded here, which are also the official ones: PEFT writes
`base_model.model.` in front of them. Known writers: our own fine-tuning, the official scripts (LoRA on the language
model; `embed_tokens`, `resampler` and sometimes `vpm` as `modules_to_save`, or in a file of their own in the first
versions) and SWIFT (PEFT folders with a regular expression as target; its own tuners write a folder `default`).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from torch import Tensor

from app.errors import AdapterError
from app.texts import Phrase

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# Where the first official scripts put the parts that they trained as a whole, beside an adapter without them.
WHOLE_PARTS = "vpm_resampler_embedtokens.pt"

PREFIX = "base_model.model."
LORA_PART = re.compile(r"\.lora_[A-Za-z_]+(\.|$)")
# What a state dict taken from a model in training has in its names beside those of a saved adapter.
IN_TRAINING = (
    (re.compile(r"\.modules_to_save\.[^.]+(?=\.)"), ""),
    (re.compile(r"(\.lora_[A-Za-z_]+)\.(?!weight$|bias$)[^.]+(?=\.|$)"), r"\1"),
    (re.compile(r"\.base_layer(?=\.)"), ""),
)

# Fields of the config that shape the answer and are applied.
APPLIED = ("r", "lora_alpha", "use_rslora", "use_dora", "fan_in_fan_out", "lora_bias", "rank_pattern", "alpha_pattern")
# Fields without effect once the weights are known; all others of PEFT's must be off.
WITHOUT_EFFECT = frozenset(
    """task_type peft_type auto_mapping peft_version base_model_name_or_path revision inference_mode target_modules
    exclude_modules modules_to_save bias init_lora_weights lora_dropout layers_to_transform layers_pattern
    megatron_config megatron_core loftq_config eva_config corda_config lora_ga_config qalora_group_size
    ensure_weight_tying""".split()
)
# Ways of beginning that put the model's own weights into the adapter, so that it fits the changed model alone.
CHANGED_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")


@dataclass(frozen=True, slots=True)
class AdapterWeights:
    """What a folder holds.

    Attributes:
        config: its adapter_config.json.
        lora: low-rank weights by name, such as "llm.model.layers.0.self_attn.q_proj.lora_A.weight".
        whole: weights that take the place of the model's own, by the model's names.
    """

    config: Mapping[str, Any]
    lora: Mapping[str, Tensor]
    whole: Mapping[str, Tensor]

    @property
    def targets(self) -> list[str]:
        """Names of the modules that have low-rank weights."""
        return sorted({LORA_PART.split(name)[0] for name in self.lora})

    @property
    def base(self) -> str:
        """The model it says it was made for; may be empty."""
        return Path(str(self.config.get("base_model_name_or_path") or "")).name


def check_adapter(folder: Path) -> Mapping[str, Any]:
    """The config of an adapter that can be used here, as far as can be told without its weights.

    Raises:
        AdapterError: no folder, no adapter in it, or one of another kind.
    """
    home = _home(folder)
    config = _read_config(home / CONFIG, folder)
    if not any((home / name).is_file() for name in WEIGHTS):
        raise AdapterError(
            Phrase("adapter_file_missing", folder=folder, names=" or ".join(WEIGHTS)), Phrase("do_copy_adapter")
        )
    _check_kind(config, folder)
    return config


def read_adapter(folder: Path) -> AdapterWeights:
    """The adapter of a folder, on the CPU.

    Raises:
        AdapterError: as `check_adapter`, or the weights cannot be read.
    """
    config, home = check_adapter(folder), _home(folder)
    _check_variants(config, folder)
    weights = _read_weights(next(home / name for name in WEIGHTS if (home / name).is_file()))
    if (home / WHOLE_PARTS).is_file():
        weights = weights | _read_weights(home / WHOLE_PARTS)
    named = {plain_name(name): weight for name, weight in weights.items() if ".original_module." not in name}
    lora = {name: weight for name, weight in named.items() if LORA_PART.search(name)}
    whole = {name: weight for name, weight in named.items() if name not in lora}
    _check_complete(config, lora, whole, folder)
    return AdapterWeights(config, lora, whole)


def plain_name(name: str) -> str:
    """The name of a weight as in a saved adapter, without PEFT's prefix and the adapter's name."""
    name = name.removeprefix(PREFIX)
    for pattern, instead in IN_TRAINING:
        name = pattern.sub(instead, name)
    return name


def _home(folder: Path) -> Path:
    """Where the files are: in the folder, or in the one that SWIFT's own tuners make in it."""
    if not folder.is_dir():
        raise AdapterError(Phrase("adapter_no_folder", folder=str(folder)))
    inner = folder / "default"
    return inner if not (folder / CONFIG).is_file() and (inner / CONFIG).is_file() else folder


def _read_config(path: Path, folder: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise AdapterError(
            Phrase("adapter_no_config", folder=folder, file=CONFIG),
            Phrase("do_training_folder"),
        ) from None
    except (OSError, ValueError) as error:
        raise AdapterError(
            Phrase("adapter_config_unread", folder=folder, file=CONFIG, type=type(error).__name__)
        ) from None
    if not isinstance(config, dict):
        raise AdapterError(Phrase("adapter_config_empty", folder=folder, file=CONFIG))
    return config


def _check_kind(config: Mapping[str, Any], folder: Path) -> None:
    # PEFT and SWIFT give the field different names.
    kind = config.get("peft_type") or config.get("swift_type")
    if str(kind).upper() != "LORA":
        raise AdapterError(Phrase("adapter_kind", folder=folder, kind=kind), Phrase("do_merge"))
    start = str(config.get("init_lora_weights"))
    if start.startswith(CHANGED_BASE):
        raise AdapterError(
            Phrase("adapter_init", folder=folder, start=start),
            Phrase("do_convert_lora"),
        )
    if config.get("bias") not in (None, "none"):
        raise AdapterError(
            Phrase("adapter_bias", folder=folder, bias=config["bias"]),
            Phrase("do_train_nobias"),
        )


def _check_variants(config: Mapping[str, Any], folder: Path) -> None:
    # It says when imported that it lacks kernels for int4 on a CPU, whether or not anything is int4.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    # Imported here, where the weights are read: PEFT takes seconds, in which the page can be served already.
    from peft import LoraConfig

    known = {name for name in LoraConfig.__dataclass_fields__ if name not in APPLIED and name not in WITHOUT_EFFECT}
    if odd := sorted(name for name in known if config.get(name)):
        raise AdapterError(
            Phrase("adapter_features", folder=folder, odd=", ".join(odd), allowed=", ".join(APPLIED)),
            Phrase("do_merge"),
        )


def _read_weights(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, LookupError, EOFError, SafetensorError, UnpicklingError) as error:
        raise AdapterError(
            Phrase("adapter_weights_unread", path=path, type=type(error).__name__), Phrase("do_check_copy")
        ) from None


def _check_complete(
    config: Mapping[str, Any], lora: Mapping[str, Tensor], whole: Mapping[str, Tensor], folder: Path
) -> None:
    missing = [name for name in config.get("modules_to_save") or () if not any(_is_in(name, key) for key in whole)]
    if missing:
        raise AdapterError(
            Phrase("adapter_saved_missing", folder=folder, names=", ".join(missing)),
            Phrase("do_save_adapter"),
        )
    if not lora and not whole:
        raise AdapterError(Phrase("adapter_empty", folder=folder))


def _is_in(module: str, name: str) -> bool:
    """Whether a weight belongs to a module, given by the end of its name."""
    return f".{module}." in f".{name}"
