"""Prompts and pixels of the models that the library itself knows, through the library's processors.

Their video processors need torchvision, which has no build beside a CPU build of torch. The steps are the same for a
frame as for an image (the sizes, the bicubic resize, rescaling, normalising, the packing of patches, frame after
frame), so frames go through the image processor that works on Pillow images, which is also the one that matches the
original code. What the library does beyond that is not needed here: frames are chosen before, and stacking several
into one picture is off in published checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.Image import Image as PILImage
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BatchFeature, MiniCPMV4_6Processor, MiniCPMV4_7Processor
from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import MiniCPMV4_6ImageProcessorPil

from app.modeling.prompt import PromptEncoder
from app.modeling.runner import Frames, Turn

Grid = tuple[int, int]


class FrameProcessor:
    """Stands where the library has its video processor.

    Args:
        image_processor: with the fields of the video processor.
    """

    # What the library's processors hand on to it.
    valid_kwargs = MiniCPMV4_6ImageProcessorPil.valid_kwargs

    def __init__(self, image_processor: MiniCPMV4_6ImageProcessorPil) -> None:
        self.image_processor = image_processor
        self.slice_mode = image_processor.slice_mode
        self.downsample_mode = image_processor.downsample_mode

    def __call__(self, videos: Sequence[Sequence[PILImage]], **kwargs: Any) -> dict[str, Any]:
        """Videos as the library's video processor returns them; see there for the keys."""
        frames = [frame for video in videos for frame in video]
        return as_video(dict(self.image_processor(frames, **kwargs)), [len(video) for video in videos])


def as_video(images: Mapping[str, Any], lengths: Sequence[int]) -> dict[str, Any]:
    """What the image processor returned for all frames, under the names that videos have.

    Args:
        lengths: frames of each video.
    """
    data: dict[str, Any] = {
        "target_sizes_videos": images["target_sizes"],
        "grids_videos": torch.tensor(images["grids"], dtype=torch.int32).reshape(-1, 2),
        "num_frames_per_video": list(lengths),
    }
    if "pixel_values" in images:
        data["pixel_values_videos"] = images["pixel_values"]
    return data


class _PillowProcessing:
    """What our two processors add to the library's: no torchvision, and user text that stays text."""

    tokenizer: Any
    image_processor: Any
    video_processor: Any
    chat_template: Any
    image_token: str
    video_token: str
    image_token_id: int
    video_token_id: int
    default_use_image_id: bool

    @classmethod
    def read(cls, folder: Path, **hub: Any) -> Any:
        """The processor of a checkpoint's folder."""
        tokenizer = AutoTokenizer.from_pretrained(folder, **hub)
        images = MiniCPMV4_6ImageProcessorPil.from_pretrained(folder, **hub)
        frames = MiniCPMV4_6ImageProcessorPil(**(images.to_dict() | _video_fields(folder)))
        return cls(images, FrameProcessor(frames), tokenizer, tokenizer.chat_template)  # type: ignore[call-arg]

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        """The library's check, but for the video processor."""
        if argument_name == "video_processor":
            return type(argument)
        return super().check_argument_for_proper_class(argument_name, argument)  # type: ignore[misc]

    @property
    def encoder(self) -> PromptEncoder:
        """Guards user text and tokenises."""
        cached = self.__dict__.get("_encoder")
        if cached is None:
            cached = self.__dict__["_encoder"] = AllMarkupEncoder(self.tokenizer)
        return cached

    def chat_inputs(self, turns: Sequence[Turn], enable_thinking: bool, use_image_id: bool, **options: Any) -> Any:
        """A conversation as the model takes it, ending with the opening of an answer.

        Args:
            options: `max_slice_nums` for images, `frame_slice_nums` for frames, `downsample_mode`.

        Returns:
            `input_ids`, `mm_token_type_ids` (1 image, 2 video) and for what is there `pixel_values`,
            `target_sizes`, `pixel_values_videos`, `target_sizes_videos`.
        """
        images, videos = media_of(turns)
        image_options, video_options = split_options(options)
        data: dict[str, Any] = {}
        if images:
            data |= self.image_processor(images, **image_options, return_tensors="pt")
        if videos:
            data |= self.video_processor(videos, **video_options, return_tensors="pt")
        ids = self._encode(turns, data, enable_thinking, use_image_id, options["downsample_mode"])
        kept = ("pixel_values", "target_sizes", "pixel_values_videos", "target_sizes_videos")
        return self.batch(ids, {name: data[name] for name in kept if name in data})

    def batch(self, ids: Sequence[int], data: Mapping[str, Any]) -> BatchFeature:
        """Ids and what goes with them as a batch of one."""
        input_ids = torch.tensor([ids])
        kinds = (input_ids == self.image_token_id).int() + 2 * (input_ids == self.video_token_id).int()
        return BatchFeature({"input_ids": input_ids, "mm_token_type_ids": kinds} | dict(data))

    def lay_out(
        self, turns: Sequence[Turn], enable_thinking: bool, use_image_id: bool, **options: Any
    ) -> tuple[list[int], dict[str, Any]]:
        """The same conversation from the sizes of its pictures alone.

        Returns:
            Token ids, and what the processors of images and videos say but for the pixels; slices of each picture
            are `num_patches_per_image` and `num_patches_per_frame`.
        """
        images, videos = media_of(turns)
        image_options, video_options = split_options(options)
        frames = [frame for video in videos for frame in video]
        data = plan(self.image_processor, images, **image_options)
        of_frames = plan(self.video_processor.image_processor, frames, **video_options)
        data |= as_video(of_frames, [len(video) for video in videos])
        ids = self._encode(turns, data, enable_thinking, use_image_id, options["downsample_mode"])
        return ids, data | {"num_patches_per_frame": of_frames["num_patches_per_image"]}

    def _encode(
        self, turns: Sequence[Turn], data: Mapping[str, Any], thinking: bool, use_image_id: bool, mode: str
    ) -> list[int]:
        """Token ids of the rendered conversation with its media written out."""
        mark = self.encoder.choose_mark(part for turn in turns for part in turn.content if isinstance(part, str))
        prompt = self.render(turns, mark, thinking)
        images, videos = media_of(turns)
        divisor = 4 if mode == "4x" else 16
        of_images = [
            self.replace_image_token(data, image_idx=index, image_token_divisor=divisor)  # type: ignore[attr-defined]
            for index in range(len(images))
        ]
        of_videos = [
            self.replace_video_token(data, video_idx=index, video_token_divisor=divisor)  # type: ignore[attr-defined]
            for index in range(len(videos))
        ]
        if use_image_id:
            of_images = self._prepend_local_ids([prompt], of_images, self.image_token)  # type: ignore[attr-defined]
            of_videos = self._prepend_local_ids([prompt], of_videos, self.video_token)  # type: ignore[attr-defined]
        expanded, _ = self.get_text_with_replacements([prompt], of_images, of_videos)  # type: ignore[attr-defined]
        return self.encoder.encode(expanded[0], mark)

    def render(self, turns: Sequence[Turn], mark: str, enable_thinking: bool) -> str:
        """The checkpoint's chat template filled with a conversation, a placeholder for each image and video."""
        messages = [{"role": turn.role, "content": [self._part(part, mark) for part in turn.content]} for turn in turns]
        return self.tokenizer.apply_chat_template(
            messages,
            chat_template=self.chat_template,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=enable_thinking,
        )

    def _part(self, part: PILImage | Frames | str, mark: str) -> dict[str, str]:
        if isinstance(part, str):
            return {"type": "text", "text": self.encoder.guard(part, mark)}
        return {"type": "video" if isinstance(part, Frames) else "image"}


class Processor46(_PillowProcessing, MiniCPMV4_6Processor):
    """The library's processor of `minicpmv4_6`."""


class Processor47(_PillowProcessing, MiniCPMV4_7Processor):
    """The library's processor of `minicpmv4_7`."""


class AllMarkupEncoder(PromptEncoder):
    """A `PromptEncoder` for vocabularies whose added tokens are not all special ("<think>")."""

    def _plain_backend(self) -> Tokenizer:
        if self._plain is None:
            data = json.loads(self.tokenizer.backend_tokenizer.to_str())
            for token in data["added_tokens"]:
                token["special"] = True
            plain = Tokenizer.from_str(json.dumps(data))
            plain.encode_special_tokens = True  # before another thread can use it
            self._plain = plain
        return self._plain


def bytes_of(
    processor: MiniCPMV4_6ImageProcessorPil, pictures: Sequence[PILImage], options: Mapping[str, Any]
) -> dict[str, Any]:
    """What the image processor returns for pictures, `pixel_values` as uint8 (1, 3, P, N*P), not normalised."""
    return processor(list(pictures), **options, do_rescale=False, do_normalize=False, return_tensors="pt")


def numbers_of(processor: MiniCPMV4_6ImageProcessorPil) -> torch.Tensor:
    """What bytes mean once they are normalised: float32 (3, 256), of each channel."""
    values = np.tile(np.arange(256, dtype=np.uint8), (3, 1))[:, None]
    scaled = processor.rescale(values, processor.rescale_factor) if processor.do_rescale else values
    if processor.do_normalize:
        scaled = processor.normalize(scaled, processor.image_mean, processor.image_std)
    return torch.from_numpy(scaled[:, 0].astype(np.float32))


def media_of(turns: Sequence[Turn]) -> tuple[list[PILImage], list[list[PILImage]]]:
    """The images, and the frames of each video, in their order."""
    parts = [part for turn in turns for part in turn.content if not isinstance(part, str)]
    images = [part for part in parts if not isinstance(part, Frames)]
    return images, [list(part.pictures) for part in parts if isinstance(part, Frames)]


def plan(
    processor: MiniCPMV4_6ImageProcessorPil, images: Sequence[PILImage], max_slice_nums: int, downsample_mode: str
) -> dict[str, Any]:
    """What the image processor returns, but for the pixels, from the sizes of the images alone."""
    grids: list[Grid] = []
    sizes: list[Grid] = []
    counts: list[int] = []
    for image in images:
        grid, cells = _plan_one(processor, (image.height, image.width), max_slice_nums, downsample_mode)
        grids.append(grid)
        sizes.extend(cells)
        counts.append(len(cells))
    target_sizes = torch.tensor(sizes, dtype=torch.int32).reshape(-1, 2)
    return {"grids": grids, "num_patches_per_image": counts, "target_sizes": target_sizes}


def _plan_one(
    processor: MiniCPMV4_6ImageProcessorPil, size: Grid, max_slice_nums: int, mode: str
) -> tuple[Grid, list[Grid]]:
    """The grid of cells ((0, 0) is none), and rows and columns of patches of the overview and of each cell."""
    patch, resolution = processor.patch_size, processor.scale_resolution
    grid = processor.get_sliced_grid(size, max_slice_nums, resolution) if processor.slice_mode else None
    height, width = processor.find_best_resize(
        size, resolution, patch, downsample_mode=mode, allow_upscale=grid is None
    )
    overview = (height // patch, width // patch)
    if grid is None:
        return (0, 0), [overview]
    rows, cols = grid
    height, width = processor.get_refine_size(size, grid, resolution, patch, downsample_mode=mode, allow_upscale=True)
    return (rows, cols), [overview, *[(height // rows // patch, width // cols // patch)] * (rows * cols)]


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of images and of frames under the image processor's names."""
    common = {"downsample_mode": options["downsample_mode"]}
    return (
        common | {"max_slice_nums": options["max_slice_nums"]},
        common | {"max_slice_nums": options["frame_slice_nums"]},
    )


def _video_fields(folder: Path) -> dict[str, Any]:
    """The fields a checkpoint gives its video processor that an image processor has too."""
    names = ("slice_mode", "scale_resolution", "patch_size", "image_mean", "image_std", "rescale_factor", "resample")
    for file, key in (("processor_config.json", "video_processor"), ("video_preprocessor_config.json", None)):
        path = folder / file
        data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        fields = data.get(key, {}) if key else data
        if fields:
            return {name: fields[name] for name in names if name in fields}
    return {}
