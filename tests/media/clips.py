"""Clips whose frames say their own number, encoded while the tests run."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 64
BITS = 9


def coded_frame(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A grey picture with `number` as black and white bars, lowest bit first, and a white line on top.

    Returns:
        uint8 of shape (height, width, 3).
    """
    picture = np.full((height, width, 3), 96, np.uint8)
    bar = width // BITS
    for bit in range(BITS):
        picture[height // 4 :, bit * bar : (bit + 1) * bar] = 235 if number >> bit & 1 else 16
    picture[: height // 4] = 235
    return picture


def number_of(frame: Image.Image) -> int:
    """The number a frame of any size shows."""
    grey = np.asarray(frame.convert("L").resize((WIDTH, HEIGHT)))
    bars = grey[HEIGHT // 2 : HEIGHT - HEIGHT // 8, : WIDTH // BITS * BITS].reshape(-1, BITS, WIDTH // BITS)
    middles = bars[:, :, 3:-3].mean(axis=(0, 2))
    return sum(1 << bit for bit in range(BITS) if middles[bit] > 125)


def write_clip(
    path: Path,
    frames: int = 60,
    codec: str = "libx264",
    fps: int = 10,
    ticks: Sequence[int] | None = None,
    rotation: int = 0,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode frames 0, 1, 2 … .

    Args:
        path: its ending chooses the container.
        frames: how many, if `ticks` is not given.
        codec: name of the encoder.
        fps: frames per second; with `ticks`, ticks per second.
        ticks: when each frame appears, for a variable frame rate.
        rotation: degrees counter-clockwise that a player turns the picture.
        size: (width, height) in pixels as stored.
        options: of the encoder.
        pixel_format: of the encoder.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = Fraction(1, fps)
        if rotation:
            stream.set_display_rotation(rotation)
        for number, tick in enumerate(ticks if ticks is not None else range(frames)):
            frame = av.VideoFrame.from_ndarray(coded_frame(number, *size), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    """Half a second of silence in a video container."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        for start in range(0, 8000, 1000):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
