"""How large pictures are, from their headers alone: what estimates need is there without decoding anything."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import Image

from app.errors import ImageError, MediaError
from app.media.images import MAX_PIXELS, MAX_SIDE, check_type, open_header, shrunk_size, too_large, upright_size
from app.media.kind import HEAD_BYTES, read_head
from app.texts import Phrase

_PNG_NOTES = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")


class Sized(Image.Image):
    """A picture of which nothing is known but its size; it has no pixels."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self._size = size
        self._mode = "RGB"


def image_size(source: Path | Image.Image | BinaryIO) -> tuple[int, int]:
    """(width, height) in pixels of what `read_image` would return.

    Raises:
        ImageError: the file is no picture of a known format, broken at its beginning, or too large.
    """
    if isinstance(source, Image.Image):
        return _size_of(source)
    if isinstance(source, Path):
        try:
            kind = check_type(read_head(source))
            with source.open("rb") as file:
                return _size_of(open_header(file, kind), file)
        except ImageError:
            raise
        except (MediaError, OSError) as error:
            message = error.message if isinstance(error, MediaError) else Phrase("file_unreadable_now")
            raise ImageError(message, Phrase("do_attach_again")) from None
    kind = check_type(source.read(HEAD_BYTES))
    source.seek(0)
    return _size_of(open_header(source, kind), source)


def _size_of(image: Image.Image, file: BinaryIO | None = None) -> tuple[int, int]:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(Phrase("image_empty", width=width, height=height))
    if width * height > MAX_PIXELS:
        raise too_large(Phrase("pixels", width=width, height=height), MAX_PIXELS)
    if image.format == "PNG" and file is not None and not _has_notes(file):
        return shrunk_size((width, height), MAX_SIDE)  # asking for its orientation would decode all of it
    return shrunk_size(upright_size(image), MAX_SIDE)


def _has_notes(file: BinaryIO) -> bool:
    """Whether a PNG file may hold an orientation; walks over its chunks."""
    place = file.tell()
    file.seek(8)
    try:
        while len(head := file.read(8)) == 8:
            if head[4:] in _PNG_NOTES:
                return True
            file.seek(int.from_bytes(head[:4]) + 4, 1)
        return False
    finally:
        file.seek(place)
