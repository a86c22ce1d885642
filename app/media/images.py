"""The page's image reader: any picture a user may attach becomes a plain RGB one, or a clear error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from app.errors import ImageError, MediaError
from app.media.kind import HEAD_BYTES, FileType, file_type, read_head
from app.media.resize import resize_bicubic
from app.texts import Phrase

MAX_SIDE = 448 * 16
MAX_PIXELS = 150_000_000  # above the largest common camera (108 megapixels); 450 MB once decoded
ALLOWED = Phrase("image_kinds")

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_BAND = 1 << 20  # pixels of a picture with wide values that are converted at once
_WHITES = {"F": (1, 255, 65535), "I": (255, 65535)}
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: Path | Image.Image | BinaryIO, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE
) -> Image.Image:
    """Read a picture as its author sees it: upright, on white, in RGB, of an animation the first frame.

    Args:
        source: a file, an open seekable binary file, or a picture already in memory.
        max_pixels: more than this many pixels (width x height) are refused before anything is decoded.
        max_side: a longer side is shrunk to this many pixels, in the same shape.

    Raises:
        ImageError: the file is no picture of a known format, broken, or too large; its name is never told.
    """
    if isinstance(source, Image.Image):
        return _finish(source, file_type(b""), max_pixels, max_side)
    if isinstance(source, Path):
        try:
            kind = check_type(read_head(source))
            with source.open("rb") as file:
                return _finish(open_header(file, kind), kind, max_pixels, max_side)
        except ImageError:
            raise
        except MediaError as error:
            raise ImageError(error.message, error.hint) from None
    kind = check_type(source.read(HEAD_BYTES))
    source.seek(0)
    return _finish(open_header(source, kind), kind, max_pixels, max_side)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB: transparency over white, 16 and 32 bits and floats scaled to 8 bits.

    16 bits count on the scale 0 to 65535. 32 bits and floats do not say their scale: the smallest usual one that
    holds the values is taken (floats 0 to 1, 0 to 255, 0 to 65535), else their largest value is white.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _wide_to_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(layer, mask=layer.getchannel("A"))
    return white


def check_type(head: bytes) -> FileType:
    """What a file is by its beginning; raises an ImageError if that is no picture that can be read."""
    found = file_type(head)
    if found.name == "a HEIC image":
        raise ImageError(
            Phrase("image_heic", allowed=ALLOWED),
            Phrase("do_convert_jpeg"),
        )
    if found.kind != "image":
        raise ImageError(Phrase("not_an_image", name=found.name, allowed=ALLOWED), Phrase("do_attach_such"))
    return found


def open_header(file: BinaryIO, kind: FileType) -> Image.Image:
    """Read the header only. The cause is dropped from errors because Pillow's messages hold the file's name."""
    try:
        return Image.open(file, formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large(Phrase("pixels_any"), MAX_PIXELS) from None
    except Exception:  # decoders raise errors of many types on a damaged header
        raise _broken(kind) from None


def _finish(image: Image.Image, kind: FileType, max_pixels: int, max_side: int) -> Image.Image:
    if image.width < 1 or image.height < 1:
        raise ImageError(Phrase("image_empty", width=image.width, height=image.height))
    if image.width * image.height > max_pixels:
        raise too_large(Phrase("pixels", width=image.width, height=image.height), max_pixels)
    try:
        rgb = to_rgb(image)
    except Exception:  # as above: whatever a decoder raises, the pixels cannot be had
        raise _broken(kind) from None
    orientation = _orientation(image)  # asked last: some decoders turn the pixels themselves and clear the tag
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    return _shrink(rgb, max_side)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; damaged metadata count as upright, for the pixels may still be good."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        return 1


def _wide_to_grey(image: Image.Image) -> Image.Image:
    peak = max(float(values.max()) for _, values in _bands(image))
    white = next((white for white in _WHITES.get(image.mode, (65535,)) if peak <= white), peak)
    grey = np.empty((image.height, image.width), np.uint8)
    for top, values in _bands(image):
        grey[top : top + len(values)] = np.rint(values * (255 / white))
    return Image.fromarray(grey)


def _bands(image: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """First rows, and finite float64 values from 0, (rows, width): all at once they take gigabytes."""
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        yield top, np.nan_to_num(np.asarray(band, dtype=np.float64), posinf=0, neginf=0).clip(min=0)


def shrunk_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """(width, height) with no side longer than `max_side`, in the same shape."""
    longest = max(size)
    if longest <= max_side:
        return size
    width, height = (max(1, side * max_side // longest) for side in size)
    return width, height


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of a picture of which only the header was read, once it stands upright."""
    # TIFF reports the size it will have once it has been turned.
    turned = _orientation(image) >= 5 and image.format != "TIFF"
    return (image.height, image.width) if turned else image.size


def _shrink(image: Image.Image, max_side: int) -> Image.Image:
    size = shrunk_size(image.size, max_side)
    return image if size == image.size else resize_bicubic(image, size)


def _broken(kind: FileType) -> ImageError:
    broken = Phrase("image_broken_as", name=kind.name) if kind.kind else Phrase("image_broken")
    return ImageError(broken, Phrase("do_save_image"))


def too_large(size: str, max_pixels: int) -> ImageError:
    """What to raise of a picture with too many pixels."""
    return ImageError(Phrase("image_large", size=size, limit=max_pixels / 1000000.0), Phrase("do_smaller_copy"))
