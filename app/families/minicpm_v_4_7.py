"""MiniCPM-V 4.7: as 4.6, with positions in three dimensions, laid out on a canvas per picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import MiniCPMV4_7Config, MiniCPMV4_7ForConditionalGeneration

from app.families.base import Family
from app.families.minicpm_v_4_6 import INT4_SKIP_MODULES, OPTIONS, TRAINING
from app.modeling.native_runner import CanvasRunner


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of this family."""
    return config.get("model_type") == "minicpmv4_7"


FAMILY = Family(
    name="MiniCPM-V 4.7",
    recognises=recognises,
    config_class=MiniCPMV4_7Config,
    model_class=MiniCPMV4_7ForConditionalGeneration,
    terminators=("<|im_end|>", "<|endoftext|>"),
    int4_skip_modules=INT4_SKIP_MODULES,
    options=OPTIONS,
    training=TRAINING,
    runner=CanvasRunner,
    in_library=True,
    hub_id="openbmb/MiniCPM-V-4.7-1B",
)
