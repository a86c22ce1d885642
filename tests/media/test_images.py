"""The page's image reader: modes, orientation, limits and files that are not what they seem."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import ImageError
from app.media import images
from app.media.images import read_image, to_rgb


def encoded(image: Image.Image, image_format: str, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    buffer.seek(0)
    return buffer


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> tuple[int, ...]:
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def corner_marked() -> Image.Image:
    """30 x 20, black, with the upper left quarter white."""
    image = Image.new("RGB", (30, 20))
    image.paste("white", (0, 0, 15, 10))
    return image


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_from_a_file_with_a_wrong_name(tmp_path: Path, image_format: str) -> None:
    path = tmp_path / "picture.txt"
    Image.new("RGB", (32, 16), (200, 40, 40)).save(path, image_format)
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", (32, 16))
    assert np.allclose(pixel(image), (200, 40, 40), atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, image_format: str) -> None:
    stored = corner_marked()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose members that make the stored picture
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(encoded(stored, image_format, exif=exif))
    assert image.size == (30, 20)
    bright = np.asarray(image.convert("L")) > 128
    assert bright[2:8, 2:13].all()
    assert not bright[12:].any()
    assert not bright[:, 17:].any()


def test_damaged_exif_does_not_refuse_a_good_picture() -> None:
    assert read_image(encoded(corner_marked(), "PNG", exif=b"Exif\0\0garbage")).size == (30, 20)


@pytest.mark.parametrize(
    ("image", "image_format", "expected"),
    [
        (Image.new("1", (8, 8), 1), "PNG", (255, 255, 255)),
        (Image.new("L", (8, 8), 77), "PNG", (77, 77, 77)),
        (Image.new("LA", (8, 8), (0, 0)), "PNG", (255, 255, 255)),
        (Image.new("LA", (8, 8), (0, 128)), "PNG", (127, 127, 127)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 255)), "WEBP", (255, 0, 0)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", (255, 0, 0)),
        (Image.new("I;16", (8, 8), 65535), "PNG", (255, 255, 255)),
        (Image.new("I;16", (8, 8), 257 * 100), "TIFF", (100, 100, 100)),
        (Image.new("I", (8, 8), 257 * 100), "TIFF", (100, 100, 100)),
        (Image.new("I", (8, 8), 100), "TIFF", (100, 100, 100)),
        (Image.new("F", (8, 8), 1.0), "TIFF", (255, 255, 255)),
        (Image.new("F", (8, 8), 0.2), "TIFF", (51, 51, 51)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_mode(image: Image.Image, image_format: str, expected: tuple[int, ...]) -> None:
    result = read_image(encoded(image, image_format, **({"lossless": True} if image_format == "WEBP" else {})))
    assert (result.mode, result.size) == ("RGB", (8, 8))
    assert pixel(result) == expected
    assert pixel(read_image(image)) == expected


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_becomes_white(mode: str) -> None:
    image = Image.new("P" if mode == "P" else mode, (8, 8), 0)
    if mode == "P":
        image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1 if mode == "P" else "white", (0, 0, 4, 8))
    transparency = (0, 0, 0) if mode == "RGB" else 0
    result = read_image(encoded(image, "PNG", transparency=transparency))
    assert pixel(result, 0) == ((0, 255, 0) if mode == "P" else (255, 255, 255))
    assert pixel(result, 7) == (255, 255, 255)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame(image_format: str) -> None:
    first, *rest = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    result = read_image(encoded(first, image_format, save_all=True, append_images=rest))
    assert np.allclose(pixel(result, 8, 8), (255, 0, 0), atol=6)


def test_a_long_side_is_shrunk_in_shape() -> None:
    assert read_image(Image.new("RGB", (9000, 4500))).size == (7168, 3584)
    assert read_image(Image.new("RGB", (300, 9000))).size == (238, 7168)
    assert read_image(Image.new("RGB", (20000, 1))).size == (7168, 1)
    assert read_image(Image.new("RGB", (7168, 10))).size == (7168, 10)
    assert read_image(Image.new("RGB", (100, 50)), max_side=10).size == (10, 5)


def png_header(width: int, height: int) -> bytes:
    """A PNG of any claimed size whose pixels are never there."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\0IDAT"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [12_500, 60_000])
def test_decompression_bombs_are_refused_before_decoding(side: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match="allowed are 150 million pixels"):
        read_image(io.BytesIO(png_header(side, side)))
    assert limit == Image.MAX_IMAGE_PIXELS


def test_the_pixel_limit_is_the_callers() -> None:
    with pytest.raises(ImageError, match="100 x 50 px"):
        read_image(Image.new("RGB", (100, 50)), max_pixels=4999)
    assert read_image(Image.new("RGB", (100, 50)), max_pixels=5000).size == (100, 50)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_file_cut_off_is_refused(tmp_path: Path, image_format: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    whole = encoded(Image.fromarray(pixels), image_format).getvalue()
    path = tmp_path / "secretname.png"
    for kept in (len(whole) // 2, 40):
        path.write_bytes(whole[:kept])
        with pytest.raises(ImageError, match="damaged or cut off") as caught:
            read_image(path)
        assert "secretname" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"<html><body>not found</body></html>", "an HTML page"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "an MP4 or QuickTime video"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "text"),
    ],
)
def test_other_files_are_refused_with_what_is_allowed(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "secretname.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=what) as caught:
        read_image(path)
    assert images.ALLOWED in str(caught.value)
    assert "secretname" not in str(caught.value)


def test_a_missing_file_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path / "missing.png")


def test_wide_values_are_converted_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once would take 24 bytes for each pixel."""
    values = np.random.default_rng(0).integers(0, 65535, (37, 20)).astype(np.uint16)
    values[-1, -1] = 65535
    whole = np.asarray(to_rgb(Image.fromarray(values)))
    monkeypatch.setattr("app.media.images._BAND", 20 * 5)
    assert np.array_equal(np.asarray(to_rgb(Image.fromarray(values))), whole)
    assert np.array_equal(whole[..., 0], np.rint(values / 257.0).astype(np.uint8))
    tracemalloc.start()
    to_rgb(Image.new("I;16", (1000, 1000), 7))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
