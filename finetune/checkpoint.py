"""What is saved: weights under the official names, with the files of the model they came from beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.download import HUB_ID

# Files of a published model that are neither weights nor its config.
BESIDE = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py", "LICENSE*")
CONFIG = "config.json"
# Files whose `auto_map` says which code belongs to a model.
NAMING_CODE = (CONFIG, "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")
MODEL_ALONE = frozenset({CONFIG, "generation_config.json", "configuration.json"})
NEVER = ("*.safetensors.index.json", "*.bin.index.json", "trainer_state.json", "adapter_config.json")
STORED = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a model's folder."""
    config: dict[str, Any] = json.loads((folder / CONFIG).read_text("utf-8"))
    return config


def stored_dtype(folder: Path) -> torch.dtype | None:
    """The precision that a model's config.json says its weights have."""
    config = read_config(folder)
    return STORED.get(str(config.get("torch_dtype") or config.get("dtype")))


def copy_files(source: Path, target: Path, with_config: bool) -> None:
    """Copy what stands beside the weights: tokenizer, preprocessor, the repository's code.

    Args:
        with_config: the model's own config too, for weights that are complete; an adapter has its own.
    """
    target.mkdir(parents=True, exist_ok=True)
    for pattern in BESIDE:
        for file in source.glob(pattern):
            unwanted = any(file.match(name) for name in NEVER) or (not with_config and file.name in MODEL_ALONE)
            if file.is_file() and not unwanted:
                shutil.copyfile(file, target / file.name)


def write_config(source: Path, target: Path, dtype: torch.dtype | None) -> None:
    """The config.json of the model as it was published, with the precision the weights have now."""
    config = read_config(source)
    config.pop("quantization_config", None)
    if dtype is not None:
        config.pop("dtype", None)
        config["torch_dtype"] = str(dtype).removeprefix("torch.")
    (target / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")


def name_code(folder: Path, origin: str) -> None:
    """Have the files of a model on the hub say that its code is there; the code itself is never fetched.

    Args:
        folder: of the saved model. Code that lies in it is left as it is named.
        origin: what the user called the model that it came from; a folder says nothing.
    """
    if not HUB_ID.fullmatch(origin) or Path(origin).is_dir():
        return

    def named(place: Any) -> Any:
        if isinstance(place, list):
            return [named(one) for one in place]
        here = not isinstance(place, str) or "--" in place or (folder / f"{place.partition('.')[0]}.py").is_file()
        return place if here else f"{origin}--{place}"

    for file in (folder / name for name in NAMING_CODE):
        config: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        if isinstance(places := config.get("auto_map"), dict):
            config["auto_map"] = {kind: named(place) for kind, place in places.items()}
            file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")


def save_model(
    model: Any,
    source: Path,
    target: Path,
    dtype: torch.dtype | None,
    state: Mapping[str, Tensor] | None = None,
    origin: str = "",
) -> None:
    """Save a whole model in the official layout.

    Args:
        source: the folder it was loaded from.
        dtype: of the saved floating-point weights; None leaves each as it is.
        state: the weights, where the model itself does not hold them all.
        origin: what the user called the model, a folder or its name on the hub.
    """
    state = state if state is not None else model.state_dict()
    if dtype is not None:
        state = {name: one.to(dtype) if one.is_floating_point() else one for name, one in state.items()}
    model.save_pretrained(target, state_dict=dict(state))
    copy_files(source, target, with_config=True)
    dtypes = {one.dtype for one in state.values() if one.is_floating_point()}
    write_config(source, target, dtype or (dtypes.pop() if len(dtypes) == 1 else None))
    name_code(target, origin)
