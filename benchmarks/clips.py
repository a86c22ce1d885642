"""Clips to measure with."""

from __future__ import annotations

from pathlib import Path


def clip(path: Path, seconds: int, side: int = 448, rate: int = 8, shift: int = 0) -> Path:
    """A square clip in which a bright bar runs over a ground that grows lighter.

    Args:
        shift: makes clips of equal length different.
    """
    import av
    import numpy as np

    frames = rate * seconds
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            picture = np.full((side, side, 3), 200 * index // frames, np.uint8)
            at = (index * 4 + 16 * shift) % side
            picture[:, at : at + 16] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path
