"""Uploaded files as parts of a message: what a file is, is found out on the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from app.errors import MediaError
from app.media.kind import sniff_kind
from app.messages import FrameChoice, Image, Part, Video
from app.placement import place_attachments
from app.texts import Phrase

MAX_FILES = 64  # in one message


def message_parts(text: str, files: Sequence[Path], max_file_size: int) -> tuple[Part, ...]:
    """The parts of a message, attachments where the text puts them.

    Args:
        max_file_size: bytes.

    Raises:
        MediaError: a file is no image or video or too large, or there are too many; says which one by number.
    """
    if len(files) > MAX_FILES:
        raise MediaError(Phrase("files_many", count=len(files), limit=MAX_FILES), Phrase("do_send_fewer"))
    return place_attachments(text, [_numbered(file, number, max_file_size) for number, file in enumerate(files, 1)])


def with_choices(choices: Mapping[Path, FrameChoice], parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts of a message, its clips with the frames that were chosen for them."""
    return tuple(
        replace(part, choice=choices[part.source]) if isinstance(part, Video) and part.source in choices else part
        for part in parts
    )


def attachment(file: Path, max_file_size: int) -> Image | Video:
    """A file as the part of a message that its content makes it.

    Raises:
        MediaError: no image or video, too large or gone.
    """
    try:
        size = file.stat().st_size
    except OSError as error:
        raise MediaError(Phrase("file_gone"), Phrase("do_attach_again")) from error
    if size > max_file_size:
        megabytes, allowed = size / 1024**2, max_file_size / 1024**2
        raise MediaError(Phrase("file_large", megabytes=megabytes, allowed=allowed), Phrase("do_send_smaller"))
    return Video(file) if sniff_kind(file) == "video" else Image(file)


def _numbered(file: Path, number: int, max_file_size: int) -> Image | Video:
    try:
        return attachment(file, max_file_size)
    except MediaError as error:
        raise type(error)(Phrase("attachment", number=number, message=error.message), error.hint) from error
