"""Slicing arithmetic against the tables the official processors produced, and its own limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import ImageError, OptionError
from app.media.slicing import SlicePlan, choose_grid, plan_slices

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = ("minicpm-v-2_6", "minicpm-llama3-v-2_5")


def as_pair(value: list[int] | None) -> tuple[int, ...] | None:
    return tuple(value) if value else None


@pytest.mark.parametrize("model", MODELS)
def test_every_row_of_the_official_table(model: str) -> None:
    rows = json.loads((GOLDEN / model / "units" / "pub_slicing_table.json").read_text())
    assert len(rows) > 100
    for row in rows:
        plan = plan_slices(tuple(row["size"]), row["max_slice_nums"])
        got = (plan.grid, plan.overview, plan.refined, plan.cell)
        assert got == tuple(as_pair(row[key]) for key in ("grid", "source", "refine", "slice")), row


def test_a_small_picture_is_enlarged_and_not_cut() -> None:
    plan = plan_slices((200, 150))
    assert plan == SlicePlan(overview=(518, 392))
    assert plan.num_slices == 1
    assert plan.sizes == [(518, 392)]
    assert plan.tgt_sizes == [(28, 37)]


def test_a_large_picture_is_an_overview_and_cells_row_by_row() -> None:
    plan = plan_slices((1344, 896))
    assert plan.grid == (3, 2)
    assert plan.num_slices == 7
    assert plan.sizes[0] == plan.overview
    assert plan.sizes[1:] == [plan.cell] * 6
    assert plan.cell is not None
    assert plan.refined == (plan.cell[0] * 3, plan.cell[1] * 2)
    assert plan.tgt_sizes == [(height // 14, width // 14) for width, height in plan.sizes]


@pytest.mark.parametrize("size", [(4000, 3000), (1, 5000), (5000, 1), (7168, 7168), (449, 448)])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 9])
def test_limits_and_multiples_hold_for_any_shape(size: tuple[int, int], limit: int) -> None:
    plan = plan_slices(size, limit)
    assert plan.num_slices - 1 <= limit
    assert len(plan.sizes) == len(plan.tgt_sizes) == plan.num_slices
    assert all(side % 14 == 0 and side >= 14 for pair in plan.sizes for side in pair)


def test_of_equally_near_grids_the_first_one_counts() -> None:
    # A square picture wanting 2 cells may have 1x2, 2x1, 1x3 or 3x1; 1x2 and 2x1 are equally near.
    assert choose_grid((600, 600), 9) == (1, 2)


def test_one_slice_or_no_slice_mode_gives_the_overview_alone() -> None:
    assert plan_slices((4000, 3000), 1) == plan_slices((4000, 3000), 9, slice_mode=False)
    assert plan_slices((4000, 3000), 1).num_slices == 1


def test_other_resolutions_and_patches() -> None:
    plan = plan_slices((100, 100), scale_resolution=32, patch_size=8)
    assert plan.grid == (3, 3)
    assert plan.cell == (32, 32)
    assert plan.tgt_sizes[0] == (4, 4)


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-1, 10), (10, -3)])
def test_an_empty_picture_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=f"{size[0]} x {size[1]} px"):
        plan_slices(size)


def test_no_slices_at_all_is_refused() -> None:
    with pytest.raises(OptionError, match="at least 1"):
        plan_slices((10, 10), 0)
