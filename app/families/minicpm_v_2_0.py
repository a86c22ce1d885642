"""MiniCPM-V 2.0: SigLIP over slices of their own size, one image per conversation, MiniCPM-2.4B."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers.models.granite.modeling_granite import GraniteDecoderLayer

from app.families.base import Family, Training
from app.modeling.chat import ChatDefaults
from app.modeling.layout import ImageLayout, cells_in_one_slice
from app.modeling.sentencepiece import LlamaTokenizerWrapper
from app.modeling.single_image import PictureProcessor, SingleImageLayout
from app.modeling.single_image_chat import AnswerAndContextMixin
from app.modeling.timm_minicpmv import TEMPLATE, TimmMiniCPMV, TimmMiniCPMVConfig
from app.modeling.tower_shape import require

TERMINATORS = ("</s>",)
HIDDEN = ("<unk>",)


class MiniCPMV20Config(TimmMiniCPMVConfig):
    """The flat config.json of the published checkpoints."""

    layout: ClassVar[ImageLayout] = SingleImageLayout(
        text=cells_in_one_slice, starts=("<image>",), ends=("</image>",), template=TEMPLATE
    )

    slice_mode: bool = True
    max_slice_nums: int = 9
    scale_resolution: int = 448
    patch_size: int = 14

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        require(self, "slice_mode", self.slice_mode, "no published checkpoint of MiniCPM-V 2.0 has it off")
        require(self, "patch_size", self.patch_size == 14, "the tower reads patches of 14")

    def image_processor(self) -> PictureProcessor:
        """Slices and normalises as the fields say."""
        return PictureProcessor(
            max_slice_nums=self.max_slice_nums,
            scale_resolution=self.scale_resolution,
            patch_size=self.patch_size,
            image_feature_size=self.query_num,
        )


class MiniCPMV20(AnswerAndContextMixin, TimmMiniCPMV):
    """MiniCPM-V 2.0."""

    config_class = MiniCPMV20Config
    chat_defaults = ChatDefaults(TERMINATORS, max_inp_length=2048, max_new_tokens=1024, hidden=HIDDEN)


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of this family: no version, and it slices."""
    return (
        config.get("model_type") == "minicpmv"
        and config.get("version") is None
        and "vision_encoder" in config
        and ("slice_mode" in config or "max_slice_nums" in config)
    )


FAMILY = Family(
    name="MiniCPM-V 2.0",
    recognises=recognises,
    config_class=MiniCPMV20Config,
    model_class=MiniCPMV20,
    tokenizer_class=LlamaTokenizerWrapper,
    terminators=TERMINATORS,
    hidden_tokens=HIDDEN,
    defaults={"max_new_tokens": 1024},
    max_images=1,
    video=False,
    system_prompt=False,
    training=Training(lora_layers=(GraniteDecoderLayer,)),
    hub_id="openbmb/MiniCPM-V-2",
    published={
        "hidden_size": 2304,
        "intermediate_size": 5760,
        "num_hidden_layers": 40,
        "num_attention_heads": 36,
        "num_key_value_heads": 36,
        "vocab_size": 122753,
        "max_position_embeddings": 4096,
    },
)
