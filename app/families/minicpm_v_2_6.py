"""MiniCPM-V 2.6: SigLIP tower over slices of their own size, 64 queries per slice, Qwen2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.configuration_utils import SubConfigSpec
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from app.families.base import Family, Training
from app.modeling.chat import ChatDefaults
from app.modeling.layout import Grid, ImageLayout
from app.modeling.minicpmv import MiniCPMVModel
from app.modeling.siglip import VisionConfig

TERMINATORS = ("<|im_end|>", "<|endoftext|>")


def image_text(grid: Grid | None, query_num: int, image_index: int | None) -> str:
    """The overview, then every cell in `<slice>`; rows of cells on lines of their own."""
    features = "<unk>" * query_num
    number = "" if image_index is None else f"<image_id>{image_index}</image_id>"
    cols, rows = grid or (0, 0)
    cells = "\n".join(f"<slice>{features}</slice>" * cols for _ in range(rows))
    return f"{number}<image>{features}</image>{cells}"


LAYOUT = ImageLayout(text=image_text, starts=("<image>", "<slice>"), ends=("</image>", "</slice>"))


class MiniCPMV26Config(Qwen2Config):
    """The flat config.json of the published checkpoints: Qwen2's fields and the vision ones."""

    model_type = "minicpmv"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"vision_config": SubConfigSpec(config_class=VisionConfig)}
    layout: ClassVar[ImageLayout] = LAYOUT

    version: str | float | int | None = 2.6
    vision_config: dict | VisionConfig | None = None
    slice_config: dict | None = None
    query_num: int = 64
    patch_size: int = 14
    image_size: int = 448
    drop_vision_last_layer: bool = True
    batch_vision_input: bool = True
    slice_mode: bool = True
    use_image_id: bool = True

    @property
    def max_slice_nums(self) -> int:
        """Cells per image at most, from `slice_config`."""
        return (self.slice_config or {}).get("max_slice_nums", 9)


class MiniCPMV26(MiniCPMVModel):
    """MiniCPM-V 2.6."""

    config_class = MiniCPMV26Config
    llm_class = Qwen2ForCausalLM
    _no_split_modules: ClassVar[list[str]] = ["Qwen2DecoderLayer", "VisionLayer", "Resampler"]
    chat_defaults = ChatDefaults(
        terminators=TERMINATORS,
        max_inp_length=8192,
        max_new_tokens=2048,
        agreeing={
            "query_num": "image_feature_size",
            "patch_size": "patch_size",
            "use_image_id": "use_image_id",
            "max_slice_nums": "max_slice_nums",
            "slice_mode": "slice_mode",
        },
    )


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of this family."""
    return config.get("model_type") == "minicpmv" and str(config.get("version")) == "2.6"


FAMILY = Family(
    name="MiniCPM-V 2.6",
    recognises=recognises,
    config_class=MiniCPMV26Config,
    model_class=MiniCPMV26,
    terminators=TERMINATORS,
    training=Training(lora_layers=(Qwen2DecoderLayer,)),
    hub_id="openbmb/MiniCPM-V-2_6",
    published={
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 151666,
        "max_position_embeddings": 32768,
        "drop_vision_last_layer": False,
        "vision_config": {"image_size": 980},
    },
)
