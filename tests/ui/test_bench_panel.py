"""The video bench: what a strip's controls ask for, and which clip and time a frame of an answer is."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from app.errors import OptionError
from app.media import video_pyav
from app.messages import FrameChoice, Message, Text, Video
from app.turn import Turn
from app.ui import bench_panel
from app.ui.bench_panel import changed, frame_place
from app.ui.page_state import Page

BALL = Path(__file__).resolve().parents[2] / "assets" / "examples" / "ball.mp4"  # 10 s
WHOLE = {"clip": 0, "start": 0, "end": 10}


def turn(*clips: Video) -> Turn:
    return Turn(Message("user", (*clips, Text("and?"))))


def test_another_mode_takes_its_own_number() -> None:
    rate = FrameChoice(fps=0.5)
    assert changed(rate, WHOLE | {"mode": "count"}, lambda: 5) == FrameChoice(0, 10, count=5)
    assert changed(rate, WHOLE | {"mode": "scenes"}, lambda: 5) == FrameChoice(0, 10, count=5, scenes=True)
    assert changed(FrameChoice(count=16), WHOLE | {"mode": "fps"}, lambda: 16) == FrameChoice(0, 10, fps=1)


def test_a_number_is_taken_as_it_stands() -> None:
    assert changed(FrameChoice(), WHOLE | {"mode": "count", "value": 4}, lambda: 10) == FrameChoice(0, 10, count=4)
    assert changed(FrameChoice(), WHOLE | {"mode": "fps", "value": 0.5}, lambda: 10) == FrameChoice(0, 10, fps=0.5)
    with pytest.raises(OptionError):
        changed(FrameChoice(), WHOLE | {"mode": "fps", "value": 5000}, lambda: 10)


def test_a_frame_belongs_to_the_last_turn_that_has_clips() -> None:
    turns = [turn(Video(BALL)), turn(Video(BALL), Video(BALL)), turn(), turn()]
    assert frame_place(turns, 2, 64) == (2, 0, pytest.approx(1, abs=0.1))
    assert frame_place(turns, 13, 64) == (2, 1, pytest.approx(2, abs=0.1))
    assert frame_place(turns[:1], 13, 64) is None
    assert frame_place(turns[2:], 1, 64) is None


def test_frames_are_counted_as_they_were_sent() -> None:
    turns = [turn(Video(BALL, choice=FrameChoice(count=4)), Video(BALL))]
    place = frame_place(turns, 5, 64)
    assert place == (0, 1, 0)
    assert frame_place(turns, 4, 2) == (0, 1, pytest.approx(5, abs=3))


def test_a_strip_opens_its_clip_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = av.open
    monkeypatch.setattr(video_pyav.av, "open", lambda *given, **more: opened.append("") or original(*given, **more))
    shown = bench_panel._strip(Page(), BALL, 0, 8)
    assert shown.count("bench-frame") == 8 and len(opened) == 1
