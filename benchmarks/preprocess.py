"""Milliseconds from a JPEG file to what the device is sent, as the application does it and slice by slice in floats.

The other way makes each slice a picture of floats first, normalises it, and cuts the patches out of that. Both give the
same numbers, which is checked. `ratio` is the other way's time over ours; `decode_ms` is the part of reading the file,
which both need; `normalised_ms` is the application's way if the host made the numbers too, which the device does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PILImage
from torch import Tensor
from torch.nn import functional as F

from app.media.images import read_image
from app.media.patches import cut_slices, normalize
from app.modeling.image_processing import MiniCPMVImageProcessor
from benchmarks.options import Cases, Options, median
from benchmarks.timing import in_turn, ratio

REPEATS = 7
SIZES = {"1344x1344": (1344, 1344), "4000x3000": (4000, 3000), "1280x720": (1280, 720)}


def run(options: Options) -> Cases:
    """Each size both ways, in turn."""
    processor = MiniCPMVImageProcessor()
    cases: Cases = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (width, height) in SIZES.items():
            if options.small:
                width, height = width // 4, height // 4
            path = Path(folder) / f"{name}.jpg"
            _photograph(width, height).save(path, quality=90)
            cases[name] = _measure(processor, path, options.repeats)
    return cases


def ours(processor: MiniCPMVImageProcessor, path: Path) -> list[Tensor]:
    """As the application reads a picture: uint8 (3, P, N*P) per slice."""
    picture = read_image(path)
    return processor.bytes_of(picture, processor.plan(picture.size))


def normalised(processor: MiniCPMVImageProcessor, path: Path) -> list[Tensor]:
    """The same as float32."""
    picture = read_image(path)
    return processor.slices_of(picture, processor.plan(picture.size))


def slice_by_slice(processor: MiniCPMVImageProcessor, path: Path) -> list[Tensor]:
    """The same, each slice as floats from the start: float32 (3, P, N*P)."""
    with PILImage.open(path) as file:
        picture = file.convert("RGB")
    mean, std = (np.asarray(values, np.float32) for values in (processor.norm_mean, processor.norm_std))
    found = []
    for piece in cut_slices(picture, processor.plan(picture.size)):
        pixels = (np.asarray(piece).astype(np.float32) / np.float32(255) - mean) / std
        found.append(_patches(torch.from_numpy(pixels).permute(2, 0, 1), processor.patch_size))
    return found


def _patches(pixels: Tensor, side: int) -> Tensor:
    """float32 (3, H, W) to (3, P, N*P), by the library's sliding window."""
    windows = F.unfold(pixels[None], (side, side), stride=side)[0]  # (3 * P * P, N)
    return windows.view(3, side, side, -1).permute(0, 1, 3, 2).reshape(3, side, -1)


def _photograph(width: int, height: int) -> PILImage.Image:
    """Smooth shades with some grain, which compress about as a photograph does."""
    shades = [PILImage.linear_gradient("L").rotate(90 * turn).resize((width, height)) for turn in range(3)]
    grain = PILImage.effect_noise((width, height), 20).convert("RGB")
    return PILImage.blend(PILImage.merge("RGB", shades), grain, 0.2)


def _measure(processor: MiniCPMVImageProcessor, path: Path, repeats: int) -> dict[str, Any]:
    made: dict[str, list[Tensor]] = {}
    seconds = in_turn(
        {
            "ours": lambda: made.update(ours=ours(processor, path)),
            "normalised": lambda: normalised(processor, path),
            "floats": lambda: made.update(floats=slice_by_slice(processor, path)),
            "decode": lambda: read_image(path),
        },
        repeats,
    )
    return {
        "ms": median([1000 * spent for spent in seconds["ours"]], 1),
        "normalised_ms": median([1000 * spent for spent in seconds["normalised"]], 1),
        "slice_by_slice_ms": median([1000 * spent for spent in seconds["floats"]], 1),
        "decode_ms": median([1000 * spent for spent in seconds["decode"]], 1),
        "ratio": ratio(seconds["floats"], seconds["ours"]),
        "slices": len(made["ours"]),
        "same": all(map(_same, made["ours"], made["floats"])),
    }


def _same(piece: Tensor, floats: Tensor) -> bool:
    """Whether bytes or floats mean these floats."""
    if piece.dtype == torch.uint8:
        piece = torch.from_numpy(normalize(piece.numpy()))
    return torch.equal(piece, floats)
