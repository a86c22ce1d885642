"""What a file is, by its content: names and extensions are never trusted, and never shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from app.errors import MediaError
from app.texts import Phrase

Kind: TypeAlias = Literal["image", "video"]

HEAD_BYTES = 1024  # enough for every signature below, three MPEG-TS packets included


@dataclass(frozen=True, slots=True)
class FileType:
    """A recognised type.

    Attributes:
        name: with its article, to stand after "The file is", such as "a PNG image".
        kind: what the page may do with it; None if neither picture nor video.
    """

    name: str
    kind: Kind | None = None


# (offset, bytes, type); the first match counts.
_SIGNATURES: tuple[tuple[int, bytes, FileType], ...] = (
    (0, b"\xff\xd8\xff", FileType(Phrase("kind_jpeg"), "image")),
    (0, b"\x89PNG\r\n\x1a\n", FileType(Phrase("kind_png"), "image")),
    (0, b"GIF87a", FileType(Phrase("kind_gif"), "image")),
    (0, b"GIF89a", FileType(Phrase("kind_gif"), "image")),
    (0, b"II*\0", FileType(Phrase("kind_tiff"), "image")),
    (0, b"MM\0*", FileType(Phrase("kind_tiff"), "image")),
    (0, b"\x1a\x45\xdf\xa3", FileType(Phrase("kind_matroska"), "video")),
    (0, b"FLV\x01", FileType(Phrase("kind_flash"), "video")),
    (0, b"OggS", FileType(Phrase("kind_ogg"), "video")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", FileType(Phrase("kind_wmv"), "video")),
    (0, b"\0\0\x01\xba", FileType(Phrase("kind_mpeg"), "video")),
    (0, b"\0\0\x01\xb3", FileType(Phrase("kind_mpeg"), "video")),
    (0, b"%PDF", FileType(Phrase("kind_pdf"))),
    (0, b"PK\x03\x04", FileType(Phrase("kind_zip"))),
    (0, b"\x1f\x8b", FileType(Phrase("kind_gzip"))),
    (0, b"8BPS", FileType(Phrase("kind_photoshop"))),
    (0, b"\0\0\x01\0", FileType(Phrase("kind_icon"))),
    (0, b"\0\0\0\x0cjP  ", FileType(Phrase("kind_jpeg2000"))),
    (0, b"\0\0\0\x0cJXL ", FileType(Phrase("kind_jpegxl"))),
    (0, b"\xff\x0a", FileType(Phrase("kind_jpegxl"))),
    (0, b"ID3", FileType(Phrase("kind_mp3"))),
    (0, b"\xff\xfb", FileType(Phrase("kind_mp3"))),
    (0, b"fLaC", FileType(Phrase("kind_flac"))),
)
_RIFF = {
    b"WEBP": FileType(Phrase("kind_webp"), "image"),
    b"AVI ": FileType(Phrase("kind_avi"), "video"),
    b"WAVE": FileType(Phrase("kind_wav")),
}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_QUICKTIME_ATOMS = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)


def file_type(head: bytes) -> FileType:
    """The type that a file's first `HEAD_BYTES` bytes announce."""
    if not head:
        return FileType(Phrase("kind_empty"))
    for offset, signature, found in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return found
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    return _iso_type(head) or _weakly_signed_type(head) or _text_type(head) or FileType(Phrase("kind_unknown"))


def sniff_kind(source: Path) -> Kind:
    """Whether a file is a picture or a video; an animated GIF counts as a picture.

    Raises:
        MediaError: it is neither, or cannot be read.
    """
    found = file_type(read_head(source))
    if found.kind is None:
        raise MediaError(Phrase("file_other", name=found.name))
    return found.kind


def is_video(source: Path) -> bool:
    """True for a video, False for a picture; raises as `sniff_kind` does."""
    return sniff_kind(source) == "video"


def read_head(source: Path) -> bytes:
    """The first `HEAD_BYTES` bytes of a file.

    Raises:
        MediaError: the file cannot be read.
    """
    try:
        with source.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        reason = error.strerror or Phrase("reason_unknown")
        raise MediaError(Phrase("file_unreadable", reason=reason), Phrase("do_attach_again")) from None


def _iso_type(head: bytes) -> FileType | None:
    """MP4, QuickTime and the picture formats in the same container, told apart by their brands."""
    atom, brand = head[4:8], head[8:12]
    if atom not in _QUICKTIME_ATOMS or b"\0" not in head[:4]:  # the length before it; text has no zero byte
        return None
    if atom == b"ftyp":
        brands = head[8 : max(12, min(int.from_bytes(head[:4], "big"), 256))]
        if brand in (b"avif", b"avis") or (brand in _HEIC_BRANDS and b"avif" in brands):
            return FileType(Phrase("kind_avif"), "image")
        if brand in _HEIC_BRANDS:
            return FileType(Phrase("kind_heic"), "image")
    return FileType(Phrase("kind_mp4"), "video")


def _weakly_signed_type(head: bytes) -> FileType | None:
    """Formats whose signature is a byte or two, so that more than the signature is checked."""
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return FileType(Phrase("kind_bmp"), "image")
    # A text with a letter G in the right places may be a playlist, which makes a decoder read what it names.
    for start, step in ((0, 188), (4, 192)) if not _is_text(head) else ():
        # Transport stream; with 4-byte time codes on discs and in cameras.
        if len(head) > start + 2 * step and all(head[start + step * packet] == 0x47 for packet in range(3)):
            return FileType(Phrase("kind_ts"), "video")
    return None


def _text_type(head: bytes) -> FileType | None:
    """Text and the markup that often comes renamed to an image."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return FileType(Phrase("kind_svg"))
    if text.startswith((b"<!doctype html", b"<html")):
        return FileType(Phrase("kind_html"))
    return FileType(Phrase("kind_text")) if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    return b"\0" not in head and _is_utf8(head)


def _is_utf8(head: bytes) -> bool:
    """True if the bytes are UTF-8, a character cut at the end aside."""
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and error.start > 0
    return True
