"""How a picture is cut for the vision tower: an overview and, if it is large, a grid of cells.

Pure arithmetic of sizes, all (width, height) in pixels, shared by inference, estimates and fine-tuning.
Rounding (Python's half to even), truncation and ties decide which patches a model sees, so they follow the
arithmetic the checkpoints were trained with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from app.errors import ImageError, OptionError
from app.texts import Phrase

Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """The slices of one picture. All sizes are (width, height) in pixels and multiples of `patch_size`.

    Attributes:
        overview: the whole picture, resized; always the first slice.
        grid: (columns, rows) of the cells, or None if the overview is the only slice.
        refined: the picture resized so that the grid divides it; None without a grid.
        cell: one cell of the refined picture; None without a grid.
        patch_size: side of the vision tower's patches, in pixels.
    """

    overview: Size
    grid: Size | None = None
    refined: Size | None = None
    cell: Size | None = None
    patch_size: int = 14

    @property
    def num_slices(self) -> int:
        """Slices in all, the overview included."""
        return 1 + (self.grid[0] * self.grid[1] if self.grid else 0)

    @property
    def sizes(self) -> list[Size]:
        """(width, height) of each slice: the overview, then the cells row by row."""
        return [self.overview] + ([self.cell] * (self.num_slices - 1) if self.cell else [])

    @property
    def tgt_sizes(self) -> list[Size]:
        """(rows, columns) of patches of each slice, in the order of `sizes`."""
        return [(height // self.patch_size, width // self.patch_size) for width, height in self.sizes]


def plan_slices(
    size: Size,
    max_slice_nums: int = 9,
    scale_resolution: int = 448,
    patch_size: int = 14,
    slice_mode: bool = True,
) -> SlicePlan:
    """Decide the slices of a picture.

    Args:
        size: (width, height) of the picture in pixels.
        max_slice_nums: at most so many cells beside the overview; 1 means the overview alone.
        scale_resolution: a slice has about this number squared of pixels.
        patch_size: side of the vision tower's patches, in pixels.
        slice_mode: False means the overview alone, whatever `max_slice_nums`.

    Raises:
        ImageError: a side of the picture is below one pixel.
        OptionError: `max_slice_nums` is below 1.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(Phrase("image_empty", width=width, height=height))
    if max_slice_nums < 1:
        raise OptionError(Phrase("max_slices_low", max_slice_nums=max_slice_nums))
    grid = choose_grid(size, max_slice_nums, scale_resolution) if slice_mode else None
    if grid is None:
        return SlicePlan(_fit((width, height), scale_resolution, patch_size, upscale=True), patch_size=patch_size)
    columns, rows = grid
    whole = (_round_to(width, columns), _round_to(height, rows))
    cell = _fit((whole[0] / columns, whole[1] / rows), scale_resolution, patch_size, upscale=True)
    return SlicePlan(
        overview=_fit((width, height), scale_resolution, patch_size, upscale=False),
        grid=grid,
        refined=(cell[0] * columns, cell[1] * rows),
        cell=cell,
        patch_size=patch_size,
    )


def choose_grid(size: Size, max_slice_nums: int, scale_resolution: int = 448) -> Size | None:
    """The (columns, rows) whose shape is nearest to the picture's, or None if one slice holds it.

    Nearness is the distance of the logarithms of the aspect ratios; of equally near grids the first one counts.
    """
    width, height = size
    wanted = min(math.ceil(width * height / scale_resolution**2), max_slice_nums)
    if wanted <= 1:
        return None
    shape = math.log(width / height)
    return min(
        _candidate_grids(wanted, max_slice_nums),
        key=lambda grid: abs(shape - math.log(grid[0] / grid[1])),
    )


def _candidate_grids(wanted: int, max_slice_nums: int) -> Iterator[Size]:
    """All (columns, rows) with one cell less than wanted, as wanted, and one more; columns ascending in each."""
    for cells in (wanted - 1, wanted, wanted + 1):
        if 1 < cells <= max_slice_nums:
            yield from ((columns, cells // columns) for columns in range(1, cells + 1) if cells % columns == 0)


def _fit(size: tuple[float, float], scale_resolution: int, patch_size: int, upscale: bool) -> Size:
    """The size of about scale_resolution² pixels in the same shape, each side a multiple of the patch.

    Without `upscale` a smaller picture keeps its size but for the rounding to patches.
    """
    width, height = size
    if upscale or width * height > scale_resolution**2:
        ratio = width / height
        height = int(scale_resolution / math.sqrt(ratio))
        width = int(height * ratio)
    return _round_to(width, patch_size), _round_to(height, patch_size)


def _round_to(length: float, step: int) -> int:
    """The multiple of `step` nearest to `length` (halves to the even multiple), at least one step."""
    return max(round(length / step) * step, step)
