"""The media of samples: decoded as for inference, or only outlined, from what their files' headers say."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image as PILImage

from app.engine.conversation import MediaReader
from app.errors import MediaError
from app.media.frames import choose_frames, fit_pixels
from app.media.images import MAX_PIXELS, MAX_SIDE, read_image
from app.media.kind import file_type, read_head
from app.media.video import MAX_FRAME_PIXELS, read_frames
from app.media.video_pyav import PyAVClip
from app.messages import Image, Text, Video
from app.modeling.runner import Frames
from finetune.entries import InlineImage

Size = tuple[int, int]

# Formats whose header says all: the size, and which side is up.
_BY_HEADER = ("JPEG", "PNG", "WEBP")
_SIDEWAYS = (5, 6, 7, 8)
_ORIENTATION_TAG = 0x0112
_PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"com.adobe.xmp")
_JPEG_END = b"\xff\xd9"
_TAIL_BYTES = 1 << 16  # cameras write some of their own behind a picture's end


class BrokenMediaError(MediaError):
    """A file cannot be used.

    Attributes:
        part: the picture or video in question.
    """

    def __init__(self, part: Image | Video, error: MediaError) -> None:
        super().__init__(error.message, error.hint)
        self.part = part


class Outline(PILImage.Image):
    """A picture of which only the size is known, (width, height) in pixels."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self._outline = size

    @property
    def size(self) -> Size:
        """(width, height) in pixels."""
        return self._outline


@dataclass(frozen=True, slots=True)
class SampleReader(MediaReader):
    """Decodes, for pictures in the data file too."""

    def _decode(self, part: Text | Image | Video) -> str | PILImage.Image | Frames:
        if isinstance(part, Text):
            return part.text
        try:
            return self._medium(part)
        except MediaError as error:
            raise BrokenMediaError(part, error) from None

    def _medium(self, part: Image | Video) -> PILImage.Image | Frames:
        if isinstance(part, InlineImage):
            return read_image(BytesIO(part.source))
        return MediaReader._decode(self, part)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class OutlineReader(SampleReader):
    """Reads headers: every picture becomes an `Outline` of the size that it has when decoded.

    Attributes:
        verify: also look whether the files are whole.
    """

    verify: bool = False

    def _medium(self, part: Image | Video) -> PILImage.Image | Frames:
        if isinstance(part, Video):
            size, times = frames_of(part.source, part.max_frames or self.max_frames)
            return Frames(tuple(Outline(size) for _ in times), times)
        if isinstance(part.source, PILImage.Image):
            return part.source
        return Outline(picture_size(part.source, self.verify))


def picture_size(source: Path | bytes, verify: bool = False) -> Size:
    """(width, height) of a picture as `read_image` returns it, in pixels.

    Args:
        source: a file, or the bytes of one.
        verify: also look whether the file is whole.

    Raises:
        ImageError: as `read_image`.
    """
    size = _size_by_header(source, verify)
    if size is None:  # rare formats and whatever looks wrong: the reader itself decides
        return read_image(BytesIO(source) if isinstance(source, bytes) else source).size
    longest = max(size)
    if longest > MAX_SIDE:
        return max(1, size[0] * MAX_SIDE // longest), max(1, size[1] * MAX_SIDE // longest)
    return size


def _size_by_header(source: Path | bytes, verify: bool) -> Size | None:
    """The upright size, or None if the header alone does not tell."""
    try:
        with PILImage.open(BytesIO(source) if isinstance(source, bytes) else source, formats=_BY_HEADER) as picture:
            width, height = picture.size
            # PNG's own getexif would decode the pixels to see what stands behind them.
            sideways = PILImage.Image.getexif(picture).get(_ORIENTATION_TAG, 1) in _SIDEWAYS
            if width * height > MAX_PIXELS or (picture.format == "PNG" and _turned_at_the_end(source)):
                return None
            if verify and not _is_whole(picture, source):
                return None
    except Exception:  # decoders raise errors of many types on a damaged header
        return None
    return (height, width) if sideways else (width, height)


def _turned_at_the_end(source: Path | bytes) -> bool:
    """Whether a PNG may say behind its pixels which side is up."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    return any(name in data[data.find(b"IDAT") :] for name in _PNG_ORIENTATION)


def _is_whole(picture: PILImage.Image, source: Path | bytes) -> bool:
    """Whether a file has its end; PNG has checksums too."""
    if picture.format == "PNG":
        picture.verify()
        return True
    if picture.format == "WEBP":
        head = source[:8] if isinstance(source, bytes) else read_head(source)[:8]
        length = len(source) if isinstance(source, bytes) else source.stat().st_size
        return length >= 8 + int.from_bytes(head[4:8], "little")
    return _JPEG_END in (source[-_TAIL_BYTES:] if isinstance(source, bytes) else _tail(source))


def _tail(source: Path) -> bytes:
    """The last bytes of a file."""
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - _TAIL_BYTES))
        return file.read()


def frames_of(source: Path, max_frames: int) -> tuple[Size, tuple[float, ...]]:
    """(width, height) in pixels and the times in seconds of the frames that `read_frames` would return.

    Raises:
        VideoError: as `read_frames`; of the pictures only the first is decoded.
    """
    if file_type(read_head(source)).kind != "video":
        clip = read_frames(source, max_frames)  # a GIF; anything else is refused
        return clip.frames[0].size, tuple(clip.times)
    opened = PyAVClip(source, lambda: None)
    try:
        info, times = opened.info, opened.times
        positions = choose_frames(times, info.duration, max_frames)
        return fit_pixels((info.width, info.height), MAX_FRAME_PIXELS), tuple(times[at] for at in positions)
    finally:
        opened.close()
