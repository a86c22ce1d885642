"""Position ids of patches in a 70 x 70 table that was learned for one resolution and is read at many.

A patch's place is a fraction of its side, and the fraction picks the row or column of the table. The fractions
and the boundaries are float32 on purpose: where both fall together, rounding decides, and the checkpoints were
trained with it (exact integer arithmetic differs for 25, 49, 50, 55 and 58 patches).
"""

from __future__ import annotations

import torch
from torch import Tensor


def position_buckets(num_patches: int, table_side: int) -> Tensor:
    """Row (or column) of the table for each of `num_patches` patches along a side.

    Returns:
        int64 (num_patches,), values in [0, table_side).
    """
    boundaries = torch.arange(1 / table_side, 1.0, 1 / table_side)
    step = float(1 / torch.tensor(num_patches))  # rounded to float32, the boundaries' step is not
    fractions = torch.arange(0, 1 - 1e-6, step)
    return torch.bucketize(fractions, boundaries, right=True)


def grid_position_ids(rows: int, cols: int, table_side: int) -> Tensor:
    """Ids of the patches of a slice in row-major order, each `row * table_side + column`.

    Returns:
        int64 (rows * cols,).
    """
    return (position_buckets(rows, table_side)[:, None] * table_side + position_buckets(cols, table_side)).flatten()
