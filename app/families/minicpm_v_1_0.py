"""MiniCPM-V 1.0: every image squeezed into one square of 448 pixels, else as 2.0.

The repository's own files were not at hand: what is said here beside 2.0 was reconstructed from a copy of its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers.models.granite.modeling_granite import GraniteDecoderLayer

from app.families.base import Family, Training
from app.modeling.chat import ChatDefaults
from app.modeling.layout import ImageLayout, cells_in_one_slice
from app.modeling.resampler import StretchingResampler
from app.modeling.sentencepiece import LlamaTokenizerWrapper
from app.modeling.single_image import SingleImageLayout, SquarePictureProcessor
from app.modeling.single_image_chat import AnswerAndContextMixin
from app.modeling.timm_minicpmv import TEMPLATE, TimmMiniCPMV, TimmMiniCPMVConfig
from app.modeling.tower_shape import require

TERMINATORS = ("</s>",)
HIDDEN = ("<unk>",)
# Reconstructed: that config.json has none of these; the first two would make it MiniCPM-V 2.0's.
SLICING_FIELDS = ("slice_mode", "max_slice_nums", "scale_resolution", "patch_size")


class MiniCPMV10Config(TimmMiniCPMVConfig):
    """The flat config.json of the published checkpoints."""

    layout: ClassVar[ImageLayout] = SingleImageLayout(
        text=cells_in_one_slice, starts=("<image>",), ends=("</image>",), template=TEMPLATE, needs_image=True
    )

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        for name in set(SLICING_FIELDS) & set(kwargs):
            require(self, name, False, "MiniCPM-V 1.0, which this config.json seems to be of, does not slice")
        require(self, "image_size", self.image_size % 14 == 0, "the tower reads patches of 14")

    def image_processor(self) -> SquarePictureProcessor:
        """Resizes and normalises as the fields say."""
        return SquarePictureProcessor(scale_resolution=self.image_size, image_feature_size=self.query_num)


class MiniCPMV10(AnswerAndContextMixin, TimmMiniCPMV):
    """MiniCPM-V 1.0."""

    config_class = MiniCPMV10Config
    resampler_class = StretchingResampler
    _no_split_modules: ClassVar[list[str]] = ["GraniteDecoderLayer", "TimmBlock", "StretchingResampler"]
    # Reconstructed: these defaults, and that the answer is appended to the caller's own list.
    chat_defaults = ChatDefaults(TERMINATORS, max_inp_length=2048, max_new_tokens=2048, hidden=HIDDEN)
    sampling_by_default = False
    sampling_settings: ClassVar[Mapping[str, Any]] = {
        "top_p": 0.8,
        "top_k": 100,
        "temperature": 0.6,
        "do_sample": True,
    }
    appends_to_msgs = True


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of this family: no version, and it does not slice."""
    return (
        config.get("model_type") == "minicpmv"
        and config.get("version") is None
        and "vision_encoder" in config
        and "slice_mode" not in config
        and "max_slice_nums" not in config
    )


FAMILY = Family(
    name="MiniCPM-V 1.0",
    recognises=recognises,
    config_class=MiniCPMV10Config,
    model_class=MiniCPMV10,
    tokenizer_class=LlamaTokenizerWrapper,
    terminators=TERMINATORS,
    hidden_tokens=HIDDEN,
    # Its chat allows 2048 new tokens, which would leave no room for the prompt in its context of 2048.
    defaults={"max_new_tokens": 1024, "temperature": 0.6, "repetition_penalty": 1.0},
    max_images=1,
    slicing=False,
    video=False,
    system_prompt=False,
    training=Training(lora_layers=(GraniteDecoderLayer,)),
    hub_id="openbmb/MiniCPM-V",
    published={
        "hidden_size": 2304,
        "intermediate_size": 5760,
        "num_hidden_layers": 40,
        "num_attention_heads": 36,
        "num_key_value_heads": 36,
        "vocab_size": 122753,
        "max_position_embeddings": 2048,
    },
)
