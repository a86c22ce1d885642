"""What the training computes in: bfloat16 where the processor does, which halves the time; elsewhere it is emulated,
many times slower than float32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

from app.engine.device import has_bf16


@cache
def low() -> torch.dtype:
    """bfloat16 or float32."""
    return torch.bfloat16 if has_bf16(torch.device("cpu")) else torch.float32


def lowered() -> AbstractContextManager[object]:
    """Modules compute in `low` in this block; their weights stay float32."""
    return torch.autocast("cpu", low()) if low() is torch.bfloat16 else nullcontext()
