"""The page on a real model with room for a few slices only: python short_server.py PORT CHECKPOINT"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from app.cli import main
from app.modeling.minicpmv import MiniCPMVModel

ROOM = 3  # slices, the overview among them


def limit(encode: Any) -> Any:
    """An `encode_vision` that runs out of memory as a device would."""

    def limited(self: Any, pixel_values: Any, *others: Any) -> Any:
        if len(pixel_values) > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return encode(self, pixel_values, *others)

    return limited


if __name__ == "__main__":
    MiniCPMVModel.encode_vision = limit(MiniCPMVModel.encode_vision)
    raise SystemExit(main(sys.argv[2], int(sys.argv[1]), ["--device", "cpu", "--max-new-tokens", "24"]))
