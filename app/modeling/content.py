"""What a picture is, whatever its file is called: digests of pixels, and numbers that stand for image features."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as PILImage

SIZE = 16  # bytes of a digest


def picture_digest(picture: PILImage, *treatment: object) -> bytes:
    """Tells pictures apart by their pixels and by what is done with them.

    Args:
        treatment: whatever else decides the features, such as how the picture is cut; told apart by `repr`.
    """
    digest = blake2b(repr((picture.mode, picture.size, treatment)).encode(), digest_size=SIZE)
    digest.update(picture.tobytes())
    return digest.digest()


def position_keys(digest: bytes, index: int, count: int) -> NDArray[np.int64]:
    """Numbers for the positions of one slice's features, int64 (count,), all below zero, where no token id is.

    Args:
        digest: of the picture. index: of the slice in it.
    """
    start = int.from_bytes(blake2b(digest + index.to_bytes(4), digest_size=8).digest()) >> 2
    return -1 - start - np.arange(count, dtype=np.int64)
