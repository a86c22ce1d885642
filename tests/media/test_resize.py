"""Bicubic resizing: which pass goes first, and that every pass is Pillow's own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from app.media.resize import resize_bicubic


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def two_passes(image: Image.Image, halfway: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    bicubic = Image.Resampling.BICUBIC
    return np.asarray(image.resize(halfway, bicubic).resize(size, bicubic))


@pytest.mark.parametrize(
    ("source", "size", "rows_first"),
    [
        ((60, 200), (40, 100), True),  # 100 rows lost, 20 columns
        ((60, 200), (40, 160), False),  # 40 rows lost, exactly twice the 20 columns
        ((60, 200), (90, 199), True),  # the width grows
        ((60, 40), (90, 80), False),  # both grow
        ((200, 60), (100, 40), False),
    ],
)
def test_rows_go_first_where_the_height_shrinks_most(
    source: tuple[int, int], size: tuple[int, int], rows_first: bool
) -> None:
    image = noise(*source)
    rows = two_passes(image, (source[0], size[1]), size)
    columns = two_passes(image, (size[0], source[1]), size)
    got = np.asarray(resize_bicubic(image, size))
    assert not np.array_equal(rows, columns)
    assert np.array_equal(got, rows if rows_first else columns)


def test_the_same_size_keeps_the_pixels() -> None:
    image = noise(20, 30)
    assert np.array_equal(np.asarray(resize_bicubic(image, (20, 30))), np.asarray(image))
