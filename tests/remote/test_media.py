from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

from app.errors import ImageError, RequestError
from app.media.clip import Cancelled
from app.media.video import read_frames
from app.messages import Image, Message, Video
from app.remote import media
from app.remote.media import MediaWriter, image_url, write_clip
from app.remote.profiles import PROFILES
from app.remote.writing import MessageWriter


def picture_of(url: str) -> tuple[str, Pictures.Image]:
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return kind, Pictures.open(io.BytesIO(base64.b64decode(data)))


def noise(width: int, height: int) -> Pictures.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Pictures.fromarray(values)


def test_a_small_picture_goes_without_loss() -> None:
    kind, picture = picture_of(image_url(noise(300, 200)))
    assert kind == "image/png" and picture.mode == "RGB"
    assert np.array_equal(np.asarray(picture), np.asarray(noise(300, 200)))


def test_a_large_picture_goes_as_jpeg_of_the_pixels_a_model_looks_at() -> None:
    kind, picture = picture_of(image_url(Pictures.linear_gradient("L").resize((4000, 3000)).convert("RGB")))
    assert kind == "image/jpeg" and picture.width * picture.height <= media.MAX_PIXELS
    assert abs(picture.width / picture.height - 4 / 3) < 0.01


def test_a_picture_of_too_many_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_IMAGE", 1000)
    with pytest.raises(ImageError, match="allowed are 1,000"):
        image_url(noise(300, 200))


def test_transparency_and_orientation_are_gone_before(tmp_path: Path) -> None:
    Pictures.new("RGBA", (9, 6), (255, 0, 0, 0)).save(tmp_path / "a.png")
    _, picture = picture_of(MediaWriter().image(Image(tmp_path / "a.png")))
    assert picture.mode == "RGB" and picture.getpixel((0, 0)) == (255, 255, 255)


def test_a_file_is_written_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Image] = []
    before = media._read
    monkeypatch.setattr(media, "_read", lambda image: read.append(image) or before(image))
    writer, path = MediaWriter(), tmp_path / "a.png"
    Pictures.new("RGB", (9, 6), "red").save(path)
    assert writer.image(Image(path)) == writer.image(Image(path)) and len(read) == 1
    Pictures.new("RGB", (9, 7), "blue").save(path)
    assert picture_of(writer.image(Image(path)))[1].height == 7 and len(read) == 2


def test_all_media_of_a_request_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_REQUEST", 3 * len(image_url(noise(50, 50))))
    image = Image(noise(50, 50))
    writer = MessageWriter(PROFILES["vllm"], MediaWriter(), 64)
    writer.write([Message.of("user", image, image, image, "?")])
    writer = MessageWriter(PROFILES["vllm"], MediaWriter(), 64)
    with pytest.raises(RequestError, match="images and videos take more than"):
        writer.write([Message.of("user", image, image, "?"), Message.of("user", image, image, "?")])


def test_a_clip_has_the_frames_it_was_made_of_one_per_second(tmp_path: Path) -> None:
    shades = [40, 120, 200, 80]
    (tmp_path / "a.mp4").write_bytes(write_clip([Pictures.new("RGB", (65, 47), (s, s, s)) for s in shades]))
    frames = read_frames(tmp_path / "a.mp4", 64)
    assert frames.times == [0.0, 1.0, 2.0, 3.0] and frames.frames[0].size == (64, 46)
    for frame, shade in zip(frames.frames, shades, strict=True):
        assert abs(int(np.asarray(frame).mean()) - shade) <= 3


def test_frames_are_no_larger_than_a_slice(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(write_clip([noise(800, 600)] * 3))
    urls = MediaWriter().frames(Video(tmp_path / "a.mp4"), 2, lambda: False, lambda done, total: None)
    assert len(urls) == 2
    for url in urls:
        kind, picture = picture_of(url)
        assert kind == "image/jpeg" and picture.width * picture.height <= media.SLICE_PIXELS


def test_writing_can_be_stopped() -> None:
    writer = MessageWriter(PROFILES["vllm"], MediaWriter(), 64, cancelled=lambda: True)
    with pytest.raises(Cancelled):
        writer.write([Message.of("user", Image(noise(9, 9)), "?")])


def test_a_video_has_its_own_number_of_frames(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(write_clip([noise(40, 40)] * 4))
    writer = MessageWriter(PROFILES["ollama"], MediaWriter(), 64)
    content = writer.write([Message.of("user", Video(tmp_path / "a.mp4", max_frames=1), "?")])[0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]
