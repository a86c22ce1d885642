"""MiniCPM-Llama3-V 2.5: the tower of 2.6, 96 queries per slice, Llama 3.

The published code never tells the tower how large each slice is: all slices of a conversation are padded with
zeros to the longest, the padding is attended, and patches are numbered as if they were one row. The weights were
served that way, so it is kept. Hence an image's features depend on the longest slice that is encoded with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.configuration_utils import SubConfigSpec
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from app.families.base import Family, Training
from app.modeling.chat import ChatDefaults
from app.modeling.layout import ImageLayout, cells_in_one_slice
from app.modeling.minicpmv import MiniCPMVModel, ProgressHook
from app.modeling.pixels import to_device
from app.modeling.positions import position_buckets
from app.modeling.siglip import VisionConfig
from app.modeling.vision import Size, group_by_size, run_in_chunks

TERMINATORS = ("<|end_of_text|>", "<|eot_id|>")
LAYOUT = ImageLayout(text=cells_in_one_slice, starts=("<image>",), ends=("</image>",))


class Idefics2VisionConfig(VisionConfig):
    """The same tower under the name that 2.5's config.json gives it."""

    model_type = "idefics2"


class MiniCPMV25Config(LlamaConfig):
    """The flat config.json of the published checkpoints: Llama's fields and the vision ones."""

    model_type = "minicpmv"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"vision_config": SubConfigSpec(config_class=Idefics2VisionConfig)}
    layout: ClassVar[ImageLayout] = LAYOUT

    version: str | float | int | None = "2.5"
    vision_config: dict | Idefics2VisionConfig | None = None
    slice_config: dict | None = None
    query_num: int = 96
    patch_size: int = 14
    image_size: int = 448
    drop_vision_last_layer: bool = True
    batch_vision_input: bool = True
    slice_mode: bool = True
    mm_use_im_start_end: bool = True


class MiniCPMV25(MiniCPMVModel):
    """MiniCPM-Llama3-V 2.5."""

    config_class = MiniCPMV25Config
    llm_class = LlamaForCausalLM
    _no_split_modules: ClassVar[list[str]] = ["LlamaDecoderLayer", "VisionLayer", "Resampler"]
    chat_defaults = ChatDefaults(
        terminators=TERMINATORS,
        max_inp_length=2048,
        max_new_tokens=1024,
        ignored=frozenset({"max_slice_nums", "use_image_id", "min_new_tokens"}),
    )

    @staticmethod
    def vision_context(tgt_sizes: Sequence[Size]) -> int:
        """Patches of the longest slice; all others are padded to it."""
        return max((rows * cols for rows, cols in tgt_sizes), default=0)

    def encode_conversations(
        self,
        pixel_values: Sequence[Sequence[Tensor]],
        tgt_sizes: Sequence[Sequence[Size]],
        on_progress: ProgressHook | None = None,
        numbers: Tensor | None = None,
    ) -> list[Tensor]:
        """Features of several conversations: each on its own, so that a batch answers as its members would alone."""
        empty = self.resampler.query.new_zeros(0, self.config.query_num, self.config.hidden_size)
        return [
            self.encode_vision(pixels, sizes, on_progress, numbers) if len(pixels) else empty
            for pixels, sizes in zip(pixel_values, tgt_sizes, strict=True)
        ]

    def encode_vision(
        self,
        pixel_values: Sequence[Tensor],
        tgt_sizes: Sequence[Size],
        on_progress: ProgressHook | None = None,
        numbers: Tensor | None = None,
    ) -> Tensor:
        """Features of slices that belong together, all padded to the longest; see `MiniCPMVModel`."""
        weight = self.vpm.embeddings.patch_embedding.weight
        patch_size = self.config.vision_config.patch_size
        longest = self.vision_context(tgt_sizes)
        positions = position_buckets(longest, self.config.vision_config.table_side)[None].to(weight.device)

        def encode(indices: list[int]) -> Tensor:
            rows, cols = tgt_sizes[indices[0]]
            pixels = to_device([pixel_values[index] for index in indices], weight, numbers)
            padded = F.pad(pixels, (0, (longest - rows * cols) * patch_size))
            return self.resampler(self.vpm(padded, positions)[:, : rows * cols], (rows, cols))

        groups = list(group_by_size(tgt_sizes).values())
        return run_in_chunks(encode, groups, weight.device, on_progress)


def recognises(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is of this family."""
    if config.get("model_type") != "minicpmv":
        return False
    # The first config.json of the model, and the int4 one to this day, give no version; 2.0, which neither does, has
    # no tower of this kind.
    tower = config.get("vision_config")
    unnamed = config.get("version") is None and isinstance(tower, Mapping) and tower.get("model_type") == "idefics2"
    return unnamed or str(config.get("version")) == "2.5"


FAMILY = Family(
    name="MiniCPM-Llama3-V 2.5",
    recognises=recognises,
    config_class=MiniCPMV25Config,
    model_class=MiniCPMV25,
    terminators=TERMINATORS,
    defaults={"max_new_tokens": 1024},
    training=Training(lora_layers=(LlamaDecoderLayer,)),
    hub_id="openbmb/MiniCPM-Llama3-V-2_5",
    published={
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 8192,
        "drop_vision_last_layer": False,
        "vision_config": {"image_size": 980},
    },
)
