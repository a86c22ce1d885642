"""What a Hugging Face Space tells by its environment, and what follows from it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, MutableMapping
from importlib import import_module
from pathlib import Path

EMBEDDED = Path(__file__).resolve().parents[1] / "assets" / "tiny-minicpm-v"
PERSISTENT = Path("/data")  # there if the Space has storage that stays
ENOUGH = 32  # GiB of main memory with which a published model answers on a CPU
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*G(?:i?B?)?\s*", re.IGNORECASE)


def is_too_small(environment: Mapping[str, str], *, has_gpu: bool | None = None) -> bool:
    """Whether this is a Space on which no published model can answer: without a GPU and with little memory.

    Args:
        has_gpu: None looks for NVIDIA's tools.
    """
    if "SPACE_ID" not in environment or lends_gpu(environment):
        return False
    if has_gpu is None:
        has_gpu = shutil.which("nvidia-smi") is not None
    size = _SIZE.fullmatch(environment.get("MEMORY", ""))
    return not has_gpu and size is not None and float(size[1]) < ENOUGH


def lends_gpu(environment: Mapping[str, str]) -> bool:
    """Whether this is a ZeroGPU Space: a GPU is there only while a decorated function runs."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def prepare(environment: MutableMapping[str, str], persistent: Path = PERSISTENT) -> None:
    """Do what a Space needs before any library is imported; nothing elsewhere.

    Weights are kept on the storage that stays, if there is one. On ZeroGPU the package `spaces`, which such a Space
    installs itself, must come before PyTorch, as it stands in for CUDA.
    """
    if "SPACE_ID" in environment and persistent.is_dir() and os.access(persistent, os.W_OK):
        environment.setdefault("HF_HOME", str(persistent / ".huggingface"))
    if lends_gpu(environment):
        import_module("spaces")
