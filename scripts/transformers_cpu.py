"""The command `transformers` beside a torch without CUDA: python scripts/transformers_cpu.py serve DIR --device cpu

PyPI's torchvision is built for CUDA: beside another torch its compiled parts are not loaded, and it cannot be
imported, as it describes two operators of these parts to a torch that does not know them. The processors of MiniCPM-V
4.6 want it for what is plain Python, resizing, and for reading pictures. So torch is told of the operators, which
nothing calls, and pictures are read with Pillow.
"""

from __future__ import annotations

import io
import sys
from typing import Any


def declare_operators() -> Any:
    """Tell torch of the operators that torchvision describes, for as long as the result is kept."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def read_picture(data: Any, mode: Any = None, *, apply_exif_orientation: bool = False) -> Any:
    """In the place of torchvision's `decode_image`: always RGB.

    Args:
        data: a file as a tensor of bytes, or its path.

    Returns:
        uint8, 3 x height x width.

    Raises:
        OSError: it is no picture.
    """
    from PIL import Image, ImageOps
    from torchvision.transforms.functional import pil_to_tensor

    picture = Image.open(data if isinstance(data, str) else io.BytesIO(data.numpy().tobytes()))
    return pil_to_tensor((ImageOps.exif_transpose(picture) if apply_exif_orientation else picture).convert("RGB"))


def main() -> Any:
    """Run the command line of transformers."""
    operators = None
    try:
        import torchvision
    except RuntimeError:  # "operator torchvision::nms does not exist"
        operators = declare_operators()
        import torchvision
        import torchvision.io

        torchvision.io.decode_image = read_picture
    from transformers.cli.transformers import main as run

    try:
        return run()
    finally:
        del operators


if __name__ == "__main__":
    sys.exit(main())
