"""Pixels as bytes until they are on the model's device: a quarter of the floats to keep and to move.

A byte has 256 values, so what they mean is a table, made once on the host with the very arithmetic of the official
processors. Looking it up is exact on every device and in every precision, which dividing there is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_numbers(pixels: Tensor, numbers: Tensor) -> Tensor:
    """Bytes to what they mean.

    Args:
        pixels: uint8 (B, 3, ...).
        numbers: (3, 256), of each channel, on the same device.

    Returns:
        (B, 3, ...) in the dtype of `numbers`.
    """
    channels = zip(pixels.unbind(1), numbers, strict=True)
    return torch.stack([table.index_select(0, one.flatten().int()).view_as(one) for one, table in channels], 1)


def to_device(pixels: Sequence[Tensor], weight: Tensor, numbers: Tensor | None = None) -> Tensor:
    """Slices of one size as the tower takes them.

    Args:
        pixels: (3, ...) each; uint8 if `numbers` are given, else floats.
        weight: of the tower, whose device and dtype the result has.
        numbers: float32 (3, 256), what the bytes of each channel mean.

    Returns:
        (slices, 3, ...).
    """
    together = _stacked(pixels, weight.device)
    if numbers is None:
        return together.to(weight.device, weight.dtype)
    return to_numbers(together.to(weight.device, non_blocking=True), numbers.to(weight))


def _stacked(pixels: Sequence[Tensor], device: torch.device) -> Tensor:
    """In pinned memory where that lets a GPU fetch them while the host goes on."""
    if device.type != "cuda" or pixels[0].is_cuda:
        return torch.stack(list(pixels))
    shape = len(pixels), *pixels[0].shape
    return torch.stack(list(pixels), out=torch.empty(shape, dtype=pixels[0].dtype, pin_memory=True))
