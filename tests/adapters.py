"""Adapters for the tiny checkpoints, as each program that trains them writes them; their weights are noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel

import app.modeling  # noqa: F401  (registers the models)
from app.modeling.adapters import PREFIX, WHOLE_PARTS
from tests.checkpoints import folder

# What the official finetune.py and SWIFT pass to PEFT.
OFFICIAL_TARGETS = r"llm\..*layers\.\d+\.self_attn\.(q_proj|k_proj|v_proj|o_proj)"
SWIFT_TARGETS = "^(llm|resampler)(?!.*(lm_head|output|emb|wte|shared)).*"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPES = ("official", "official_vision", "official_early", "swift", "swift_own", "ours", "ours_dora")


def fresh(model: str) -> Any:
    """A tiny checkpoint of its own, in fp32."""
    return AutoModel.from_pretrained(folder(model), dtype=torch.float32)


def make(model: str, shape: str, path: Path, seed: int = 0) -> Path:
    """Write an adapter of a shape into a folder of its own below `path`; returns that."""
    home = path / f"{model}-{shape}-{seed}"
    {"official_early": _early, "swift": _swift, "swift_own": _swift_own}.get(shape, _plain)(model, shape, home, seed)
    return home


def trained(model: str, seed: int = 0, **options: Any) -> PeftModel:
    """A model with an adapter whose weights all differ from those it began with."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = get_peft_model(fresh(model), LoraConfig(r=4, lora_alpha=16, **options))
        for name, weight in adapted.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                weight.data += 0.1 * torch.randn_like(weight)
    return adapted


def saved(path: Path, adapted: PeftModel) -> Path:
    adapted.save_pretrained(path)
    return path


def change_config(path: Path, **changes: Any) -> None:
    file = path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def weights_of(path: Path) -> dict[str, Tensor]:
    return load_file(path / "adapter_model.safetensors")


def write_weights(path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, path / "adapter_model.safetensors", metadata={"format": "pt"})


def _plain(model: str, shape: str, path: Path, seed: int) -> None:
    options: dict[str, dict[str, Any]] = {
        "official": {"target_modules": OFFICIAL_TARGETS, "modules_to_save": ["embed_tokens", "resampler"]},
        "official_vision": {
            "target_modules": OFFICIAL_TARGETS,
            "modules_to_save": ["embed_tokens", "resampler", "vpm"],
        },
        "ours": {"target_modules": [*LINEAR, "resampler.kv_proj", "resampler.attn.out_proj"]},
        "ours_dora": {"target_modules": ["q_proj", "v_proj"], "use_dora": True, "use_rslora": True},
    }
    saved(path, trained(model, seed, **options[shape]))


def _early(model: str, shape: str, path: Path, seed: int) -> None:
    """Low-rank weights alone in the adapter, and what was trained as a whole in a file beside it."""
    _plain(model, "official_vision", path, seed)
    weights = weights_of(path)
    write_weights(path, {name: weight for name, weight in weights.items() if "lora_" in name})
    torch.save({name: weight for name, weight in weights.items() if "lora_" not in name}, path / WHOLE_PARTS)
    change_config(path, modules_to_save=None)


def _swift(model: str, shape: str, path: Path, seed: int) -> None:
    """A pattern that names every module, from which SWIFT takes the linear ones; PEFT then also saves embeddings."""
    saved(path, trained(model, seed, target_modules=[*LINEAR, "resampler.kv_proj"], exclude_modules=r"vpm\..*"))
    base = fresh(model).state_dict()
    kept = {f"{PREFIX}{name}": base[name] for name in ("llm.model.embed_tokens.weight", "llm.lm_head.weight")}
    write_weights(path, weights_of(path) | kept)
    change_config(path, target_modules=SWIFT_TARGETS, exclude_modules=None)
    (path / "additional_config.json").write_text(json.dumps({"lora_dtype": None, "lorap_lr_ratio": None}))


def _swift_own(model: str, shape: str, path: Path, seed: int) -> None:
    """SWIFT's own tuner: a folder inside, no prefix, the adapter's name in every key."""
    _swift(model, shape, path / "default", seed)
    weights = weights_of(path / "default")
    (path / "default" / "adapter_model.safetensors").unlink()
    names = {
        name: name.removeprefix(PREFIX).replace(".weight", ".default.weight") for name in weights if "lora" in name
    }
    torch.save({new: weights[name] for name, new in names.items()}, path / "default" / "adapter_model.bin")
    change_config(path / "default", peft_type=None, swift_type="LORA", target_modules=LINEAR)
    (path / "configuration.json").write_text("{}")
