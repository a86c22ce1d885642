"""Pictures to patches, by the fields of a published preprocessor_config.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

from app.errors import ImageError
from app.media.patches import cut_slices, normalize, to_patches
from app.media.slicing import SlicePlan, plan_slices
from app.texts import Phrase


class MiniCPMVImageProcessor(BaseImageProcessor):
    """Slices, patches and normalises images.

    Args:
        max_slice_nums: cells beside the overview at most.
        scale_resolution: a slice has about this number squared of pixels.
        patch_size: side of a patch in pixels.
        image_feature_size: features per slice (`query_num` of the model).
        slice_mode: False gives the overview alone.
        use_image_id: images are numbered in the prompt.
        norm_mean, norm_std: per channel, on values in [0, 1].
        kwargs: fields kept as they are (`version`, `im_start`, ...).
    """

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(
        self,
        max_slice_nums: int = 9,
        scale_resolution: int = 448,
        patch_size: int = 14,
        image_feature_size: int = 64,
        slice_mode: bool = True,
        use_image_id: bool = False,
        norm_mean: Sequence[float] = (0.5, 0.5, 0.5),
        norm_std: Sequence[float] = (0.5, 0.5, 0.5),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_slice_nums = max_slice_nums
        self.scale_resolution = scale_resolution
        self.patch_size = patch_size
        self.image_feature_size = image_feature_size
        self.slice_mode = slice_mode
        self.use_image_id = use_image_id
        self.norm_mean = list(norm_mean)
        self.norm_std = list(norm_std)

    def plan(self, size: tuple[int, int], max_slice_nums: int | None = None) -> SlicePlan:
        """The slices of an image of this (width, height) in pixels."""
        limit = self.max_slice_nums if max_slice_nums is None else max_slice_nums
        return plan_slices(size, limit, self.scale_resolution, self.patch_size, self.slice_mode)

    def bytes_of(self, image: PILImage.Image, plan: SlicePlan) -> list[torch.Tensor]:
        """Slices of an RGB image, not normalised: uint8 (3, P, N*P) each, the overview first."""
        return [torch.from_numpy(self.arrange(piece)) for piece in cut_slices(image, plan)]

    def arrange(self, piece: PILImage.Image) -> NDArray[np.uint8]:
        """The pixels of one slice, as the tower wants them."""
        return to_patches(piece, self.patch_size)

    @property
    def numbers(self) -> torch.Tensor:
        """What bytes mean once they are normalised: float32 (3, 256), of each channel."""
        return torch.from_numpy(self._normalized(np.tile(np.arange(256, dtype=np.uint8), (3, 1))))

    def slices_of(self, image: PILImage.Image, plan: SlicePlan) -> list[torch.Tensor]:
        """Normalised slices of an RGB image: float32 of the shapes of `bytes_of`."""
        return [torch.from_numpy(self._normalized(piece.numpy())) for piece in self.bytes_of(image, plan)]

    def _normalized(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return normalize(pixels, tuple(self.norm_mean), tuple(self.norm_std))

    def preprocess(
        self, images: Any, max_slice_nums: int | None = None, return_tensors: str | None = None, **_: Any
    ) -> BatchFeature:
        """Process the images of one or several conversations.

        Args:
            images: an image, a list of images, or a list of such lists; PIL images or uint8 (H, W, 3) arrays.
            max_slice_nums: overrides the configured one.

        Returns:
            `pixel_values`: per conversation a list of float32 (3, P, N*P); `tgt_sizes`: per conversation int32
            (slices, 2), (rows, cols) in patches; `image_sizes`: per conversation (width, height) of each image.
        """
        batch: dict[str, list[Any]] = {"pixel_values": [], "tgt_sizes": [], "image_sizes": []}
        for conversation in as_batch(images):
            pictures = [to_rgb(image) for image in conversation]
            plans = [self.plan(picture.size, max_slice_nums) for picture in pictures]
            pairs = zip(pictures, plans, strict=True)
            batch["pixel_values"].append([piece for picture, plan in pairs for piece in self.slices_of(picture, plan)])
            batch["tgt_sizes"].append(tgt_sizes_of(plans))
            batch["image_sizes"].append([picture.size for picture in pictures])
        return BatchFeature(batch)

    __call__ = preprocess


def tgt_sizes_of(plans: Sequence[SlicePlan]) -> torch.Tensor:
    """int32 (slices, 2): (rows, cols) in patches of every slice of the plans."""
    sizes = [size for plan in plans for size in plan.tgt_sizes]
    return torch.tensor(sizes, dtype=torch.int32).reshape(-1, 2)


def as_batch(images: Any) -> list[list[Any]]:
    """An image, a list of images or a list of lists, as a list of lists; None is one conversation without any."""
    if images is None:
        return [[]]
    if not isinstance(images, (list, tuple)):
        return [[images]]
    if any(isinstance(item, (list, tuple)) for item in images):
        return [list(item) for item in images]
    return [list(images)]


def to_rgb(image: Any) -> PILImage.Image:
    """The image in RGB, alpha dropped as in the official code.

    Raises:
        ImageError: neither a PIL image nor a uint8 array.
    """
    if isinstance(image, PILImage.Image):
        return image.convert("RGB")
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        return PILImage.fromarray(image).convert("RGB")
    raise ImageError(Phrase("image_type", type=type(image).__name__))
