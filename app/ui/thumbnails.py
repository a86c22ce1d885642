"""Small pictures inside the page's own HTML, so that nothing has to be served or kept."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

QUALITY = 72


def thumbnail_url(picture: Image.Image, side: int) -> str:
    """A data URL of the picture, no side longer than `side` pixels.

    Args:
        picture: RGB.
    """
    small = picture.copy() if max(picture.size) <= side else picture.resize(_fitted(picture.size, side))
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
