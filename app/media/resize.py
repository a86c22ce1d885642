"""Bicubic resizing whose pixels do not depend on the Pillow version installed."""

from __future__ import annotations

from PIL import Image


def resize_bicubic(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in another size, by Pillow's bicubic filter with antialiasing.

    Pillow rounds to bytes between its horizontal and its vertical pass, so their order shows in the pixels, and
    Pillow 13 began to put the vertical pass first where the height shrinks by more than twice what the width does.
    Running the passes one by one gives those pixels under any version.

    Args:
        image: any mode Pillow can resize.
        size: (width, height) in pixels.
    """
    width, height = size
    lost_columns, lost_rows = image.width - width, image.height - height
    rows_first = lost_rows > 0 and lost_rows > 2 * lost_columns
    halfway = (image.width, height) if rows_first else (width, image.height)
    return image.resize(halfway, Image.Resampling.BICUBIC).resize(size, Image.Resampling.BICUBIC)
