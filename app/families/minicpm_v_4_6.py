"""MiniCPM-V 4.6: the library's own classes; SigLIP that merges patches within, Qwen3.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import MiniCPMV4_6Config, MiniCPMV4_6ForConditionalGeneration
from transformers.models.qwen3_5.modeling_qwen3_5 import Qwen3_5DecoderLayer

from app.families.base import Family, Training
from app.modeling.native_runner import NativeRunner

OPTIONS = frozenset({"enable_thinking", "downsample_mode"})
# The last two are gates with a row per head: too few rows for the int4 kernel of a CPU, and next to no memory.
INT4_SKIP_MODULES = ("model.vision_tower", "model.merger", "lm_head", "in_proj_a", "in_proj_b")
TRAINING = Training(
    lora_layers=(Qwen3_5DecoderLayer,),
    llm="model.language_model",
    vision="model.vision_tower",
    resampler="model.merger",
)


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of this family."""
    return config.get("model_type") == "minicpmv4_6"


FAMILY = Family(
    name="MiniCPM-V 4.6",
    recognises=recognises,
    config_class=MiniCPMV4_6Config,
    model_class=MiniCPMV4_6ForConditionalGeneration,
    terminators=("<|im_end|>", "<|endoftext|>"),
    int4_skip_modules=INT4_SKIP_MODULES,
    options=OPTIONS,
    training=TRAINING,
    runner=NativeRunner,
    in_library=True,
    hub_id="openbmb/MiniCPM-V-4.6",
)
