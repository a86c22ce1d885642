"""A checkpoint for measuring: random weights, the proportions of a real MiniCPM-V 2.6, a size that two cores run.

Vision tower 384 x 12, 64 queries per slice of 448 pixels, language model 1024 x 12 (0.14 B parameters), the embedded
model's tokenizer. Made once, in bf16, and kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

TOKENIZER = Path(__file__).resolve().parents[1] / "assets" / "tiny-minicpm-v"
VISION = {
    "hidden_size": 384,
    "image_size": 980,
    "intermediate_size": 1536,
    "num_attention_heads": 6,
    "num_hidden_layers": 12,
    "patch_size": 14,
}
LANGUAGE = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
}
SLICE_SIDE = 448
QUERIES = 64


def bench_checkpoint(scale: float = 1.0) -> Path:
    """The folder of the checkpoint, made if it is not there.

    Args:
        scale: of widths and layers; tests take a small one.
    """
    data = config_of(scale)
    name = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "minicpm-v-web-demo" / f"bench-{name}"
    if not (folder / "model.safetensors").exists():
        _write(folder, data)
    return folder


def config_of(scale: float) -> dict[str, Any]:
    """The fields of config.json."""
    data: dict[str, Any] = json.loads((TOKENIZER / "config.json").read_text("utf-8"))
    # A head is 64 wide here and 128 wide in the resampler, so they come in pairs.
    heads = 2 * _scaled(LANGUAGE["num_attention_heads"] / 2, scale)
    language = LANGUAGE | {
        "hidden_size": 64 * heads,
        "intermediate_size": max(64, round(LANGUAGE["intermediate_size"] * scale)),
        "num_hidden_layers": _scaled(LANGUAGE["num_hidden_layers"], scale),
        "num_attention_heads": heads,
        "num_key_value_heads": math.gcd(heads, LANGUAGE["num_key_value_heads"]),
    }
    vision_heads = _scaled(VISION["num_attention_heads"], scale)
    vision = {
        **VISION,
        "model_type": "siglip",
        "hidden_size": 64 * vision_heads,
        "intermediate_size": 256 * vision_heads,
        "num_attention_heads": vision_heads,
        "num_hidden_layers": _scaled(VISION["num_hidden_layers"], scale),
    }
    slicing = {"max_slice_nums": 9, "patch_size": 14, "model_type": "minicpmv"}
    return {**data, **language, "vision_config": vision, "image_size": SLICE_SIDE, "slice_config": slicing,
            "query_num": QUERIES, "max_window_layers": language["num_hidden_layers"],
            "random_weights": True}  # fmt: skip


def _scaled(count: float, scale: float) -> int:
    return max(1, round(count * scale))


def _write(folder: Path, data: dict[str, Any]) -> None:
    """All files; the weights last, so that a stop in the middle leaves no folder that looks whole."""
    import torch
    from safetensors.torch import save_file

    from app.families.minicpm_v_2_6 import MiniCPMV26, MiniCPMV26Config

    folder.mkdir(parents=True, exist_ok=True)
    for path in TOKENIZER.glob("*.json"):
        shutil.copy(path, folder)
    shutil.copy(TOKENIZER / "merges.txt", folder)
    processor = json.loads((TOKENIZER / "preprocessor_config.json").read_text("utf-8"))
    processor |= {"max_slice_nums": 9, "scale_resolution": SLICE_SIDE, "image_feature_size": QUERIES}
    for name, content in (("config", data), ("preprocessor_config", processor)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MiniCPMV26(MiniCPMV26Config(**data | {"torch_dtype": "float32"}))
        for parameter in model.parameters():
            # About what trained weights look like, so that activations neither vanish nor overflow.
            torch.nn.init.normal_(parameter, std=0.02) if parameter.ndim > 1 else torch.nn.init.ones_(parameter)
    weights = {name: value.detach().to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    part = folder / "model.part"
    save_file(weights, part, {"format": "pt"})
    part.replace(folder / "model.safetensors")
