"""Which frames of a clip are taken: range, rate, number, dropped ones, scenes; long clips without decoding them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from app.errors import OptionError
from app.media import video_pyav
from app.media.frames import choose_within, most_changed
from app.media.video import choose, preview, read_frames
from app.messages import FrameChoice

TIMES = [number / 10 for number in range(100)]  # ten seconds


def made(path: Path, shades: list[int], rate: int = 10, size: int = 64) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = size, size, "yuv420p", 50
        for shade in shades:
            picture = np.full((size, size, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (FrameChoice(), list(range(0, 100, 10))),
        (FrameChoice(2.0, 5.0), [20, 30, 40]),
        (FrameChoice(2.0, 3.0, fps=4), [20, 22, 25, 27]),
        (FrameChoice(count=2), [0, 50]),
        (FrameChoice(9.0, 99.0), [90]),
    ],
)
def test_range_rate_and_number(choice: FrameChoice, expected: list[int]) -> None:
    assert choose_within(TIMES, 10.0, 64, choice) == expected


@pytest.mark.parametrize("choice", [FrameChoice(5.0, 5.0), FrameChoice(12.0), FrameChoice(-1.0), FrameChoice(fps=0)])
def test_what_gives_no_frame_is_refused(choice: FrameChoice) -> None:
    with pytest.raises(OptionError):
        choose_within(TIMES, 10.0, 64, choice)


def test_the_most_changed_frames_stay() -> None:
    assert most_changed([0, 5, 1, 9, 2], 3) == [0, 1, 3]
    assert most_changed([0], 4) == [0]
    assert most_changed([], 4) == []


@pytest.mark.parametrize(
    "choice",
    [
        FrameChoice(),
        FrameChoice(1.0, 4.0, fps=2),
        FrameChoice(count=5, dropped=frozenset({0})),
        FrameChoice(scenes=True, count=3),
    ],
)
def test_what_is_told_is_what_is_read(tmp_path: Path, choice: FrameChoice) -> None:
    path = made(tmp_path / "clip.mp4", [20] * 20 + [120] * 20 + [230] * 20)
    told, read = choose(path, 64, choice), read_frames(path, 64, choice=choice)
    assert list(told.times) == read.times
    assert [frame.size for frame in read.frames] == [told.size] * len(read.frames)
    assert not choice.dropped & set(told.positions)


@pytest.mark.parametrize("choice", [FrameChoice(fps=2), FrameChoice(scenes=True, count=3)])
def test_a_preview_opens_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: FrameChoice) -> None:
    path = made(tmp_path / "clip.mp4", [20] * 20 + [120] * 20 + [230] * 20)
    told = choose(path, 64, choice, max_pixels=600)
    read = read_frames(path, 64, choice=choice, max_pixels=600).frames
    opened: list[str] = []
    original = av.open
    monkeypatch.setattr(video_pyav.av, "open", lambda *given, **more: opened.append("") or original(*given, **more))
    chosen, frames = preview(path, 64, choice, 600)
    assert chosen == told and [frame.tobytes() for frame in frames] == [frame.tobytes() for frame in read]
    assert len(opened) == 1


def test_scenes_are_found(tmp_path: Path) -> None:
    path = made(tmp_path / "clip.mp4", [20] * 23 + [120] * 20 + [230] * 17)
    frames = read_frames(path, 64, choice=FrameChoice(scenes=True, count=3)).frames
    assert [round(float(np.asarray(frame).mean()), -1) for frame in frames] == [20, 120, 230]


def test_all_frames_dropped_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "clip.mp4", [20] * 10)
    with pytest.raises(OptionError):
        choose(path, 64, FrameChoice(dropped=frozenset({0})))


def test_a_clip_of_hours_opens_without_decoding_more_than_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:  # four hours, a frame every two seconds
        stream = container.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 64, "yuv420p", 8
        stream.time_base = Fraction(1, 1)
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
        for number in range(7200):
            picture.pts = 2 * number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    decoded: list[int] = []
    original = video_pyav.PyAVClip._decode

    def counted(self: video_pyav.PyAVClip):
        for frame in original(self):
            decoded.append(1)
            yield frame

    monkeypatch.setattr(video_pyav.PyAVClip, "_decode", counted)
    before = psutil.Process().memory_info().rss
    told = choose(path, 16, FrameChoice())
    assert told.info.duration == pytest.approx(4 * 3600, rel=0.01)
    assert len(decoded) <= 2, "only the first frame is decoded to tell which would be taken"
    read = read_frames(path, 16, choice=FrameChoice())
    assert read.times == list(told.times)
    assert len(decoded) <= 16 * 8 + 8, "no more than from the key frame before each one that is shown"
    assert psutil.Process().memory_info().rss - before < 100e6
