"""The size from a header is that of the picture which is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from app.errors import ImageError
from app.media.images import read_image
from app.media.sizes import Sized, image_size

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_it_is_the_size_of_the_picture_that_is_read(tmp_path: Path, kind: str, orientation: int) -> None:
    path = tmp_path / "picture"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if kind in ("GIF", "BMP") else {"exif": exif}
    Image.new("RGB", (90, 40), "red").save(path, kind, **options)
    assert image_size(path) == read_image(path).size


def test_long_sides_shrink_as_they_do_when_it_is_read(tmp_path: Path) -> None:
    Image.new("L", (9000, 31)).save(tmp_path / "long.png")
    assert image_size(tmp_path / "long.png") == read_image(tmp_path / "long.png").size


def test_nothing_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plain.png", "photo.jpg", "w.webp"):
        Image.new("RGB", (800, 600)).save(tmp_path / name)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    for name in ("plain.png", "photo.jpg", "w.webp"):
        assert image_size(tmp_path / name) == (800, 600)


def test_pictures_in_memory_and_open_files_have_sizes_too(tmp_path: Path) -> None:
    assert image_size(Image.new("RGB", (3, 4))) == (3, 4)
    Image.new("RGB", (5, 6)).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        assert image_size(file) == (5, 6)
    assert Sized((7, 8)).size == (7, 8)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n1234"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ImageError):
        image_size(tmp_path / "bad")
    with pytest.raises(ImageError):
        image_size(tmp_path / "gone")
