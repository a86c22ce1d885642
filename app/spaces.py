"""What a Hugging Face Space tells by its environment, and what follows from it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

EMBEDDED = Path(__file__).resolve().parents[1] / "assets" / "tiny-minicpm-v"
ENOUGH = 32  # GiB of main memory with which a published model answers on a CPU
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*G(?:i?B?)?\s*", re.IGNORECASE)


def is_too_small(environment: Mapping[str, str], *, has_gpu: bool | None = None) -> bool:
    """Whether this is a Space on which no published model can answer: without a GPU and with little memory.

    Args:
        has_gpu: None looks for NVIDIA's tools.
    """
    if "SPACE_ID" not in environment:
        return False
    if has_gpu is None:
        has_gpu = shutil.which("nvidia-smi") is not None
    size = _SIZE.fullmatch(environment.get("MEMORY", ""))
    return not has_gpu and size is not None and float(size[1]) < ENOUGH
