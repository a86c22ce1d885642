"""Loaded by vLLM in each of its processes: what its code for this family needs where torch has no CUDA."""

from __future__ import annotations


def register() -> None:
    """Answer "no" where the resampler asks whether a CUDA graph is being captured.

    A torch without CUDA raises there, which ends the engine with the first image.
    """
    import torch

    if not torch.backends.cuda.is_built():
        torch.cuda.is_current_stream_capturing = lambda: False
