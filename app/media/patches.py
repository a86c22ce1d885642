"""From a picture and its plan to slices, patches and the numbers the vision tower takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import ImageError
from app.media.resize import resize_bicubic
from app.media.slicing import SlicePlan
from app.texts import Phrase


def cut_slices(image: Image.Image, plan: SlicePlan) -> list[Image.Image]:
    """The slices of a picture, of the sizes and in the order of `plan.sizes`.

    Overview and cells both come from the original by PIL's bicubic filter: shrinking the refined picture again
    would give other pixels than the checkpoints were trained on.

    Args:
        image: mode RGB, of the size `plan` was made for.

    Raises:
        ImageError: the picture is not RGB.
    """
    if image.mode != "RGB":
        raise ImageError(Phrase("image_mode", mode=image.mode), Phrase("do_convert_rgb"))
    overview = resize_bicubic(image, plan.overview)
    if plan.grid is None or plan.refined is None or plan.cell is None:
        return [overview]
    refined = resize_bicubic(image, plan.refined)
    (columns, rows), (width, height) = plan.grid, plan.cell
    corners = [(column * width, row * height) for row in range(rows) for column in range(columns)]
    return [overview] + [refined.crop((left, top, left + width, top + height)) for left, top in corners]


def to_patches(slice_image: Image.Image, patch_size: int = 14) -> NDArray[np.uint8]:
    """The pixels of one slice as patches laid side by side, row by row.

    Bytes, not floats: a quarter of the memory to move; `normalize` (or the same on the device) comes after.

    Args:
        slice_image: mode RGB, both sides multiples of `patch_size`.

    Returns:
        uint8 of shape (3, patch_size, patches * patch_size).

    Raises:
        ImageError: a side is no multiple of the patch.
    """
    width, height = slice_image.size
    if width % patch_size or height % patch_size:
        raise ImageError(Phrase("slice_size", width=width, height=height, patch_size=patch_size))
    rows, columns = height // patch_size, width // patch_size
    pixels = np.asarray(slice_image).reshape(rows, patch_size, columns, patch_size, 3)
    return pixels.transpose(4, 1, 0, 2, 3).reshape(3, patch_size, rows * columns * patch_size)


def normalize(
    patches: NDArray[np.uint8],
    mean: Sequence[float] = (0.5, 0.5, 0.5),
    std: Sequence[float] = (0.5, 0.5, 0.5),
) -> NDArray[np.float32]:
    """Bytes to the float32 numbers of the official processors, bit for bit.

    Args:
        patches: uint8, channels first, of any shape (3, ...).
        mean: of each channel, on the scale 0 to 1.
        std: of each channel, on the scale 0 to 1.

    Returns:
        (patches / 255 - mean) / std, of the same shape, every step in float32.
    """
    per_channel = (3,) + (1,) * (patches.ndim - 1)
    scaled = patches.astype(np.float32) / np.float32(255)
    scaled -= np.asarray(mean, np.float32).reshape(per_channel)
    scaled /= np.asarray(std, np.float32).reshape(per_channel)
    return scaled
