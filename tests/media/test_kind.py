"""Files told apart by their content."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from app.errors import MediaError
from app.media.kind import file_type, is_video, sniff_kind


def encoded(image_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(buffer, image_format)
    return buffer.getvalue()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_pictures_by_content_whatever_the_name(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(encoded(image_format))
    assert sniff_kind(path) == "image"
    assert not is_video(path)


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
        b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
        b"\0\0\0\x08wide\0\0\x10\0mdat",
        b"\x1a\x45\xdf\xa3\x01\0\0\0",
        b"RIFF\x24\0\0\0AVI LIST",
        b"\0\0\x01\xba\x44\0",
        (b"\x47" + bytes(187)) * 3,
        bytes(4) + (b"\x47" + bytes(191)) * 3,
    ],
)
def test_videos_whatever_the_name(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "clip.png"
    path.write_bytes(head)
    assert is_video(path)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "empty"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"\xef\xbb\xbf <!DOCTYPE html><html></html>", "an HTML page"),
        (b"The free lunch", "text"),
        ("\u4f60\u597d".encode() * 300, "text"),
        (b"#EXTM3U\nhttp://127.0.0.1/secret.ts\n", "text"),
        (b"#EXTM3U\nAVI \n/etc/secret.ts\n", "text"),
        (b"#EXTM3U\nWEBP\n", "text"),
        ((b"G" + b"\n" * 187) * 3 + b"c=IN IP4 127.0.0.1", "text"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"ID3\x04\0", "MP3 audio"),
        (b"\x7fELF\x02\x01\x01\0\0", "of an unknown type"),
    ],
)
def test_other_files_are_refused_and_described(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / "secretname.png"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=f"The file is {name}") as caught:
        sniff_kind(path)
    assert "secretname" not in str(caught.value)


def test_heic_and_avif_share_a_container_but_not_a_type() -> None:
    assert file_type(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").name == "a HEIC image"
    assert file_type(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif").name == "an AVIF image"


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_what_cannot_be_opened_is_a_media_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError, match="cannot be read"):
        sniff_kind(tmp_path / name)
