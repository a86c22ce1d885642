"""Videos: the right frames from every codec and container, and clear errors for what is no video."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import OptionError, VideoError
from app.media.clip import Cancelled
from app.media.video import MAX_FRAME_PIXELS, choose, read_frames
from app.media.video_pyav import PyAVClip
from app.messages import FrameChoice
from tests.media.clips import HEIGHT, WIDTH, coded_frame, number_of, write_audio, write_clip

try:
    import decord  # noqa: F401

    READERS = ["pyav", "decord"]
except ImportError:
    READERS = ["pyav"]

SHORT_GROUPS = {"g": "12"}
OPEN_H264 = {"g": "15", "x264-params": "open-gop=1:bframes=3:keyint=15:log-level=none"}
OPEN_HEVC = {"x265-params": "keyint=25:min-keyint=25:open-gop=1:log-level=none"}
FAST_VP9 = {"g": "20", "deadline": "realtime", "cpu-used": "8"}
HIDDEN_VP9 = {"g": "40", "auto-alt-ref": "1", "lag-in-frames": "12", "cpu-used": "5"}


def numbers(path: Path, **options: Any) -> list[int]:
    return [number_of(frame) for frame in read_frames(path, **options).frames]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", SHORT_GROUPS),
        ("a.mkv", "libx264", OPEN_H264),
        ("a.ts", "libx264", OPEN_H264),
        ("a.avi", "libx264", SHORT_GROUPS),
        ("a.flv", "libx264", SHORT_GROUPS),
        ("hevc.mp4", "libx265", OPEN_HEVC),
        ("hevc.mkv", "libx265", OPEN_HEVC),
        ("vp9.webm", "libvpx-vp9", FAST_VP9),
        ("hidden.webm", "libvpx-vp9", HIDDEN_VP9),
        ("mpeg4.mp4", "mpeg4", {"g": "12", "bf": "2"}),
        ("mpeg4.avi", "mpeg4", {"g": "12", "bf": "2"}),
        ("mpeg2.mpg", "mpeg2video", {"g": "12", "bf": "2"}),
        ("mpeg2.ts", "mpeg2video", {"g": "12", "bf": "2"}),
        ("wmv.wmv", "wmv2", SHORT_GROUPS),
    ],
)
def test_every_position_gives_its_own_frame(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = write_clip(tmp_path / name, 160, codec, fps=25, options=options)
    clip = PyAVClip(path, lambda: None)
    choices = random.Random(0)
    for count in (4, 12, 50):
        positions = sorted(choices.sample(range(160), count))
        assert [number_of(frame) for frame in clip.read(positions, MAX_FRAME_PIXELS, lambda: None)] == positions
    clip.close()


@pytest.mark.parametrize("reader", READERS)
def test_one_frame_per_second_then_evenly(tmp_path: Path, reader: Any) -> None:
    path = write_clip(tmp_path / "clip.mp4", 100, options=SHORT_GROUPS)
    result = read_frames(path, reader=reader)
    assert [number_of(frame) for frame in result.frames] == list(range(0, 100, 10))
    assert result.times == pytest.approx(list(range(10)))
    assert result.duration == pytest.approx(10)
    assert result.fps == pytest.approx(10)
    assert all((frame.mode, frame.size) == ("RGB", (WIDTH, HEIGHT)) for frame in result.frames)
    assert numbers(path, reader=reader, max_frames=4) == [12, 37, 62, 87]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm"])
@pytest.mark.parametrize("reader", READERS)
def test_variable_frame_rate(tmp_path: Path, name: str, reader: Any) -> None:
    ticks = [0, 1, 2, 5, 6, 30, 31, 32, 60, 61]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write_clip(tmp_path / name, codec=codec, ticks=ticks)
    result = read_frames(path, reader=reader)
    assert [number_of(frame) for frame in result.frames] == [0, 4, 5, 7, 8]
    assert result.times == pytest.approx([0, 0.6, 3, 3.2, 6], abs=0.002)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, rotation: int, reader: Any) -> None:
    path = write_clip(tmp_path / "clip.mp4", 12, rotation=rotation)
    upright = np.rot90(coded_frame(0), rotation // 90)  # the clip is to be shown turned counter-clockwise
    frame = read_frames(path, reader=reader).frames[0]
    assert frame.size == (upright.shape[1], upright.shape[0])
    difference = np.abs(np.asarray(frame).astype(int) - upright)
    assert difference.mean() < 20
    info = choose(path, 1, FrameChoice()).info
    assert (info.width, info.height) == frame.size


def test_what_a_clip_is(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.webm", 50, "libvpx-vp9", options=FAST_VP9)
    info = choose(clip, 1, FrameChoice()).info
    assert (info.width, info.height, info.frames) == (WIDTH, HEIGHT, 50)
    assert info.duration == pytest.approx(5, abs=0.01)
    assert info.fps == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("reader", READERS)
def test_large_frames_are_shrunk_in_shape(tmp_path: Path, reader: Any) -> None:
    path = write_clip(tmp_path / "clip.mp4", 12, size=(WIDTH * 4, HEIGHT * 4))
    frames = read_frames(path, reader=reader, max_pixels=WIDTH * HEIGHT).frames
    assert [frame.size for frame in frames] == [(WIDTH, HEIGHT)] * 2
    assert [number_of(frame) for frame in frames] == [0, 10]


def test_a_4k_frame_keeps_nine_slices_of_pixels(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 1, size=(3840, 2160), options={"preset": "ultrafast"})
    assert read_frames(path).frames[0].size == (1792, 1008)


@pytest.mark.parametrize("reader", READERS)
def test_one_frame(tmp_path: Path, reader: Any) -> None:
    path = write_clip(tmp_path / "clip.mp4", 1)
    result = read_frames(path, reader=reader)
    assert [number_of(frame) for frame in result.frames] == [0]
    assert result.times == [0]


def test_an_animated_gif_over_white(tmp_path: Path) -> None:
    pictures = [Image.fromarray(coded_frame(number)).convert("P") for number in range(3)]
    path = tmp_path / "clip.mp4"  # the content counts, not the name
    pictures[0].save(path, "GIF", save_all=True, append_images=pictures[1:], duration=1000)
    assert numbers(path) == [0, 1, 2]
    clear = Image.new("P", (16, 16), 0)
    clear.putpalette([255, 0, 0, 0, 0, 255])
    clear.paste(1, (0, 0, 8, 16))
    clear.save(path, "GIF", transparency=0)
    frame = read_frames(path).frames[0]
    assert frame.getpixel((12, 8)) == (255, 255, 255)
    assert frame.getpixel((2, 8)) == (0, 0, 255)


@pytest.mark.parametrize("reader", READERS)
def test_half_a_file_gives_the_frames_before_the_cut(tmp_path: Path, reader: Any) -> None:
    whole = write_clip(tmp_path / "clip.mkv", 100, options=SHORT_GROUPS).read_bytes()
    path = tmp_path / "half.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    got = numbers(path, reader=reader)
    assert 2 <= len(got) < 10
    assert got == list(range(0, 10 * len(got), 10))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(500), "broken"),
        (b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 4, "broken"),
        (b"#EXTM3U\nfile:///etc/hostname\n", "is text"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image, not a video"),
        (b"\x7fELF\2\1\1\0", "of an unknown type"),
    ],
)
def test_broken_files_and_other_files(tmp_path: Path, reader: Any, content: bytes, what: str) -> None:
    path = tmp_path / "secretname.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=what) as caught:
        read_frames(path, reader=reader)
    assert "secretname" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_file_without_its_index_is_broken(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "clip.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])  # an MP4 keeps its index at the end
    with pytest.raises(VideoError, match="broken or cut off"):
        read_frames(path)


@pytest.mark.parametrize(("reader", "what"), [("pyav", "audio only"), ("decord", "no picture")])
def test_audio_only(tmp_path: Path, reader: Any, what: str) -> None:
    if reader not in READERS:
        what = "not installed"
    with pytest.raises(VideoError, match=what):
        read_frames(write_audio(tmp_path / "clip.mp4"), reader=reader)


def test_a_damaged_middle_keeps_the_rest(tmp_path: Path) -> None:
    content = bytearray(write_clip(tmp_path / "clip.mkv", 100, options=SHORT_GROUPS).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 60] = bytes(60)
    path = tmp_path / "damaged.mkv"
    path.write_bytes(content)
    got = numbers(path)
    assert got[:3] == [0, 10, 20]
    assert len(got) > 4


@pytest.mark.parametrize("reader", READERS)
def test_progress_counts_up_to_the_frames_returned(tmp_path: Path, reader: Any) -> None:
    seen: list[tuple[int, int]] = []
    path = write_clip(tmp_path / "clip.mp4", 50)
    read_frames(path, reader=reader, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("reader", READERS)
def test_cancelling_stops_between_frames(tmp_path: Path, reader: Any) -> None:
    seen: list[int] = []
    path = write_clip(tmp_path / "clip.mp4", 50)
    with pytest.raises(Cancelled):
        read_frames(
            path,
            reader=reader,
            on_progress=lambda done, total: seen.append(done),
            cancelled=lambda: len(seen) >= 2,
        )
    assert seen == [1, 2]


def test_cancelling_stops_the_scan_too(tmp_path: Path) -> None:
    calls: list[None] = []

    def cancelled() -> bool:
        calls.append(None)
        return len(calls) > 5

    with pytest.raises(Cancelled):
        read_frames(write_clip(tmp_path / "clip.mp4", 50), cancelled=cancelled)
    assert len(calls) == 6


def test_a_missing_decord_names_its_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(VideoError, match="pip install decord"):
        read_frames(write_clip(tmp_path / "clip.mp4", 2), reader="decord")


def test_an_unknown_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'pyav' and 'decord'"):
        read_frames(write_clip(tmp_path / "clip.mp4", 2), reader="opencv")  # type: ignore[arg-type]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="cannot be read"):
        read_frames(tmp_path / "missing.mp4")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi"])
def test_random_damage_gives_frames_or_a_video_error(tmp_path: Path, name: str) -> None:
    whole = write_clip(tmp_path / name, 30, options=SHORT_GROUPS).read_bytes()
    dice = random.Random(1)
    outcomes = set()
    for _ in range(60):
        content = bytearray(whole[: dice.randrange(len(whole) // 4, len(whole))])
        for _ in range(dice.choice((1, 5, 50))):
            content[dice.randrange(len(content))] = dice.randrange(256)
        path = tmp_path / "damaged"
        path.write_bytes(content)
        try:
            outcomes.add(bool(read_frames(path).frames))
        except VideoError as error:
            outcomes.add(bool(error.hint))
    assert outcomes == {True}


def test_a_playlist_is_no_video_and_what_it_names_is_not_read(tmp_path: Path) -> None:
    """Whatever a file's beginning was taken for; without its end mark it would be waited for, for ever."""
    secret = write_clip(tmp_path / "secret.ts", 20, "libx264", fps=25, options=SHORT_GROUPS)
    path = tmp_path / "clip.m3u8"
    for words in (f"#EXTM3U\n#EXTINF:5,\n{secret}\n#EXT-X-ENDLIST\n", f"#EXTM3U\n#EXTINF:5,\n{secret}\n"):
        path.write_text(words)
        with pytest.raises(VideoError):
            PyAVClip(path, lambda: None)
    listing = tmp_path / "clip.ffconcat"
    listing.write_text(f"ffconcat version 1.0\nfile {secret.name}\n")
    with pytest.raises(VideoError):
        PyAVClip(listing, lambda: None)


def test_frames_of_more_pixels_than_memory_is_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", 5, "libx264", fps=25, options=SHORT_GROUPS)
    monkeypatch.setattr("app.media.video_pyav.MAX_CODED_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(VideoError, match=rf"{WIDTH} x {HEIGHT} px"):
        PyAVClip(path, lambda: None)
    monkeypatch.setattr("app.media.video_pyav.MAX_CODED_PIXELS", WIDTH * HEIGHT)
    PyAVClip(path, lambda: None).close()
