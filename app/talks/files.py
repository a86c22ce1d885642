"""How the files of a conversation are called outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.errors import MediaError
from app.media.kind import FileType, file_type, read_head
from app.messages import Image, Text, Video
from app.turn import Turn

FOLDER = "media"  # of the .zip

# By the name of what a file is: extension and media type.
_TYPES = {
    "a JPEG image": ("jpg", "image/jpeg"),
    "a PNG image": ("png", "image/png"),
    "a GIF image": ("gif", "image/gif"),
    "a WebP image": ("webp", "image/webp"),
    "a TIFF image": ("tiff", "image/tiff"),
    "a BMP image": ("bmp", "image/bmp"),
    "an AVIF image": ("avif", "image/avif"),
    "a HEIC image": ("heic", "image/heic"),
    "a Matroska or WebM video": ("webm", "video/webm"),
    "an MP4 or QuickTime video": ("mp4", "video/mp4"),
    "an AVI video": ("avi", "video/x-msvideo"),
}


def type_of(path: Path) -> tuple[str, str]:
    """Extension and media type of a file, by its content.

    Raises:
        MediaError: it cannot be read.
    """
    found: FileType = file_type(read_head(path))
    other = ("mp4", "video/mp4") if found.kind == "video" else ("bin", "application/octet-stream")
    return _TYPES.get(found.name, other)


def named_files(turns: Sequence[Turn]) -> dict[Path, str]:
    """The files of the turns that are still there, in their order, each once, by their place in the .zip.

    Such as media/image_1.png, media/video_1.mp4.
    """
    names: dict[Path, str] = {}
    counts = {"image": 0, "video": 0}
    for part in (part for turn in turns for part in turn.user.content):
        path = file_of(part)
        if path is None or path in names:
            continue
        try:
            extension = type_of(path)[0]
        except MediaError:
            continue
        kind = "video" if isinstance(part, Video) else "image"
        counts[kind] += 1
        names[path] = f"{FOLDER}/{kind}_{counts[kind]}.{extension}"
    return names


def file_of(part: Text | Image | Video) -> Path | None:
    """The file of a part, if it has one."""
    return None if isinstance(part, Text) or not isinstance(part.source, Path) else part.source
