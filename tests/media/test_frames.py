"""The choice of frames, with numbers only."""

from __future__ import annotations

import math

import pytest

from app.errors import OptionError
from app.media.frames import choose_frames, choose_times, fit_pixels


def test_one_frame_per_second() -> None:
    assert choose_times(3.5) == [0, 1, 2, 3]
    assert choose_times(3.0) == [0, 1, 2]
    assert choose_times(64.0) == list(range(64))
    assert choose_times(2.0, fps=2) == [0, 0.5, 1, 1.5]


def test_evenly_at_the_centres_when_there_are_too_many() -> None:
    assert choose_times(100, max_frames=4) == [12.5, 37.5, 62.5, 87.5]
    times = choose_times(64.1)
    assert len(times) == 64
    assert times[0] == pytest.approx(64.1 / 128)
    assert times[-1] == pytest.approx(64.1 - 64.1 / 128)


@pytest.mark.parametrize("duration", [0.0, -1.0, 0.04])
def test_a_clip_without_length_has_one_moment(duration: float) -> None:
    assert choose_times(duration) == [0]


def test_frames_on_screen_at_a_constant_rate() -> None:
    times = [frame / 30 for frame in range(300)]
    assert choose_frames(times, 10.0) == list(range(0, 300, 30))
    assert choose_frames(times, 10.0, max_frames=2) == [75, 225]
    assert choose_frames(times, 10.0, max_frames=1) == [150]


def test_rounded_time_stamps_do_not_slip_a_frame() -> None:
    times = [round(frame / 3, 9) for frame in range(9)]  # 0.333333333 is below 1/3
    assert choose_frames(times, 3.0, fps=3) == list(range(9))


def test_a_still_counts_once_in_a_variable_rate() -> None:
    times = [0.0, 0.1, 0.2, 5.0, 5.5]
    assert choose_frames(times, 8.0) == [0, 2, 3, 4]


def test_more_frames_wanted_than_there_are() -> None:
    assert choose_frames([0.0, 0.5], 1.0, fps=10) == [0, 1]
    assert choose_frames([0.0], 0.0) == [0]


@pytest.mark.parametrize("max_frames", [0, -3])
def test_no_frames_at_all_is_refused(max_frames: int) -> None:
    with pytest.raises(OptionError, match="max_frames"):
        choose_times(5, max_frames)


@pytest.mark.parametrize("fps", [0.0, -1.0, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(OptionError, match="fps"):
        choose_times(5, fps=fps)


def test_fit_pixels() -> None:
    assert fit_pixels((3840, 2160), 9 * 448 * 448) == (1792, 1008)
    assert fit_pixels((100, 50), 5000) == (100, 50)
    assert fit_pixels((1, 10_000), 100) == (1, 1000)
