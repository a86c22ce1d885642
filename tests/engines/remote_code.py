"""What vLLM asks of the code of a MiniCPM-V repository: config, tokenizer, processors. It alone loads this.

vLLM has a model of its own for this family, but reads pictures with the checkpoint's code. This is a stand-in for that
code, which is not ours to ship: `for_vllm` writes it beside a copy of a checkpoint. The slices are our own (`app.media`
is on the path of the server), so the answers may be compared with the golden ones.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from transformers import PretrainedConfig, ProcessorMixin, Qwen2Config, SiglipVisionConfig
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature

from app.media.patches import cut_slices, normalize, to_patches
from app.media.slicing import SlicePlan, plan_slices

try:
    from transformers import Qwen2TokenizerFast
except ImportError:
    from transformers import Qwen2Tokenizer as Qwen2TokenizerFast


class MiniCPMVConfig(Qwen2Config):
    model_type = "minicpmv"

    def __init__(self, vision_config: Any = None, **fields: Any) -> None:
        for name in ("version", "query_num", "drop_vision_last_layer", "image_size", "batch_vision_input",
                     "slice_config", "use_image_id"):  # fmt: skip
            if name in fields:
                setattr(self, name, fields.pop(name))
        given = isinstance(vision_config, PretrainedConfig)
        self.vision_config = vision_config if given else SiglipVisionConfig(**(vision_config or {}))
        super().__init__(**fields)


class MiniCPMVTokenizerFast(Qwen2TokenizerFast):
    im_start, im_end, slice_start, slice_end = "<image>", "</image>", "<slice>", "</slice>"
    im_id_start, im_id_end = "<image_id>", "</image_id>"

    @property
    def im_start_id(self) -> int:
        return self.convert_tokens_to_ids(self.im_start)

    @property
    def im_end_id(self) -> int:
        return self.convert_tokens_to_ids(self.im_end)

    @property
    def slice_start_id(self) -> int:
        return self.convert_tokens_to_ids(self.slice_start)

    @property
    def slice_end_id(self) -> int:
        return self.convert_tokens_to_ids(self.slice_end)


class MiniCPMVImageProcessor(BaseImageProcessor):
    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, max_slice_nums: int = 9, scale_resolution: int = 448, patch_size: int = 14,
                 use_image_id: bool = True, image_feature_size: int = 64, slice_mode: bool = True,
                 norm_mean: Any = (0.5, 0.5, 0.5), norm_std: Any = (0.5, 0.5, 0.5), **fields: Any) -> None:  # fmt: skip
        super().__init__(**fields)
        self.max_slice_nums, self.scale_resolution, self.patch_size = max_slice_nums, scale_resolution, patch_size
        self.use_image_id, self.image_feature_size, self.slice_mode = use_image_id, image_feature_size, slice_mode
        self.mean, self.std = list(norm_mean), list(norm_std)

    def plan(self, size: Any, max_slice_nums: int | None = None) -> SlicePlan:
        limit = self.max_slice_nums if max_slice_nums is None else int(max_slice_nums)
        return plan_slices(tuple(size), limit, self.scale_resolution, self.patch_size, self.slice_mode)

    def get_sliced_grid(self, image_size: Any, max_slice_nums: int | None = None) -> tuple[int, int] | None:
        return self.plan(image_size, max_slice_nums).grid

    def get_slice_image_placeholder(self, image_size: Any, image_idx: int = 0, max_slice_nums: int | None = None,
                                    use_image_id: bool | None = None) -> str:  # fmt: skip
        features = "<unk>" * self.image_feature_size
        numbered = self.use_image_id if use_image_id is None else use_image_id
        columns, rows = self.get_sliced_grid(image_size, max_slice_nums) or (0, 0)
        cells = "\n".join(f"<slice>{features}</slice>" * columns for _ in range(rows))
        return (f"<image_id>{image_idx}</image_id>" if numbered else "") + f"<image>{features}</image>{cells}"

    def preprocess(self, images: Any, do_pad: bool = True, max_slice_nums: int | None = None,
                   return_tensors: Any = None, **_: Any) -> BatchFeature:  # fmt: skip
        images = list(images) if isinstance(images, (list, tuple)) else [images]
        # A video comes as one array of frames.
        images = [list(each) if isinstance(each, np.ndarray) and each.ndim == 4 else each for each in images]
        if not images or not isinstance(images[0], (list, tuple)):
            images = [images]
        made: dict[str, list[Any]] = {"pixel_values": [], "image_sizes": [], "tgt_sizes": []}
        for group in images:
            pictures = [each if isinstance(each, Image.Image) else Image.fromarray(np.asarray(each)) for each in group]
            plans = [self.plan(picture.size, max_slice_nums) for picture in pictures]
            made["pixel_values"].append(
                [
                    torch.from_numpy(normalize(to_patches(piece, self.patch_size), self.mean, self.std))
                    for picture, plan in zip(pictures, plans, strict=True)
                    for piece in cut_slices(picture.convert("RGB"), plan)
                ]
            )
            made["image_sizes"].append([picture.size for picture in pictures])
            sizes = [size for plan in plans for size in plan.tgt_sizes]
            made["tgt_sizes"].append(torch.tensor(sizes, dtype=torch.int32))
        return BatchFeature(made)

    def __call__(self, images: Any, **options: Any) -> BatchFeature:
        return self.preprocess(images, **options)


class MiniCPMVProcessor(ProcessorMixin):
    attributes: ClassVar[list[str]] = ["image_processor", "tokenizer"]
    image_processor_class = "AutoImageProcessor"
    tokenizer_class = "AutoTokenizer"

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **_: Any) -> None:
        super().__init__(image_processor, tokenizer)
