"""Slices of many sizes through a tower that takes one size at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from app.modeling.pixels import to_device

Size = tuple[int, int]


def group_by_size(tgt_sizes: Sequence[Size]) -> dict[Size, list[int]]:
    """Indices of slices of equal (rows, cols): they need no padding and no mask, so the fast kernels apply."""
    groups: dict[Size, list[int]] = defaultdict(list)
    for index, size in enumerate(tgt_sizes):
        groups[size].append(index)
    return groups


def chunks(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    """The indices in lists of at most `size`."""
    for start in range(0, len(indices), size):
        yield list(indices[start : start + size])


def chunk_size(device: torch.device) -> int:
    """Slices per call of the tower: one keeps a CPU's caches warm, more keep an accelerator busy in 0.4 GB."""
    return 1 if device.type == "cpu" else 16


def run_in_chunks(
    encode: Callable[[list[int]], Tensor],
    groups: Sequence[Sequence[int]],
    device: torch.device,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Encode groups of slices chunk by chunk.

    Args:
        encode: slice indices to (len(indices), Q, D).
        groups: lists of slice indices; each list may be encoded in one call.
        on_progress: called with slices done and in all, before each chunk and at the end; may raise to stop.

    Returns:
        (slices, Q, D), in the order of the indices.
    """
    total = sum(len(group) for group in groups)
    order: list[int] = []
    outputs: list[Tensor] = []
    for group in groups:
        for chunk in chunks(group, chunk_size(device)):
            if on_progress:
                on_progress(len(order), total)
            outputs.append(encode(chunk))
            order.extend(chunk)
    if on_progress:
        on_progress(total, total)
    inverse = torch.empty(total, dtype=torch.int64)
    inverse[torch.tensor(order, dtype=torch.int64)] = torch.arange(total)
    return torch.cat(outputs)[inverse.to(outputs[0].device)]


def encode_pictures(
    tower: nn.Module,
    resampler: nn.Module,
    pixel_values: Sequence[Tensor],
    tgt_sizes: Sequence[Size],
    on_progress: Callable[[int, int], None] | None = None,
    numbers: Tensor | None = None,
) -> Tensor:
    """Pictures of many sizes through a tower that takes whole pictures, and a resampler.

    Args:
        pixel_values: per slice (3, H, W), normalised, or bytes with `numbers`.
        tgt_sizes: per slice (rows, cols) in patches.
        on_progress: called with slices done and in all; may raise to stop.
        numbers: float32 (3, 256), what bytes mean.

    Returns:
        (slices, Q, D), in the dtype of the tower.
    """
    weight = next(tower.parameters())

    def encode(indices: list[int]) -> Tensor:
        pixels = to_device([pixel_values[index] for index in indices], weight, numbers)
        return resampler(tower(pixels), tgt_sizes[indices[0]])

    return run_in_chunks(encode, list(group_by_size(tgt_sizes).values()), weight.device, on_progress)
