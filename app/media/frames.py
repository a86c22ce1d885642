"""Which frames of a clip the model sees. Pure functions of numbers; times in seconds from the first frame."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from app.errors import OptionError
from app.messages import FrameChoice
from app.texts import Phrase

_EPSILON = 1e-6  # seconds; time stamps such as 1/3 come as rounded ticks


def choose_times(duration: float, max_frames: int = 64, fps: float = 1.0) -> list[float]:
    """The moments to look at: `fps` per second from 0, or, if those are too many, evenly over the whole clip.

    Evenly means at the centres of `max_frames` equal parts.

    Args:
        duration: of the clip in seconds; 0 or less counts as one moment.
        max_frames: at most so many moments, at least 1.
        fps: moments per second, above 0.

    Raises:
        OptionError: `max_frames` or `fps` is out of range.
    """
    if max_frames < 1:
        raise OptionError(Phrase("max_frames_low", max_frames=max_frames))
    if not 0 < fps < math.inf:
        raise OptionError(Phrase("fps_low", fps=fps))
    count = max(1, math.ceil((duration - _EPSILON) * fps))
    if count <= max_frames:
        return [moment / fps for moment in range(count)]
    return [(part + 0.5) * duration / max_frames for part in range(max_frames)]


def choose_frames(times: Sequence[float], duration: float, max_frames: int = 64, fps: float = 1.0) -> list[int]:
    """Positions in `times` of the frames on screen at the moments of `choose_times`, ascending, each once.

    A still that stays on screen over several moments counts once, so fewer frames than moments may come back.

    Args:
        times: when each frame appears, ascending, not empty; spacing need not be constant.
        duration: of the clip in seconds, the last frame's own included.
        max_frames: at most so many frames.
        fps: frames per second wanted.

    Raises:
        OptionError: `max_frames` or `fps` is out of range.
    """
    on_screen = (bisect_right(times, moment + _EPSILON) - 1 for moment in choose_times(duration, max_frames, fps))
    return sorted({max(0, position) for position in on_screen})


def choose_within(times: Sequence[float], duration: float, max_frames: int, choice: FrameChoice) -> list[int]:
    """Positions of the frames of a choice before any are dropped or told apart by what they show, ascending.

    Args:
        times, duration: as of `choose_frames`.

    Raises:
        OptionError: the range is empty or begins behind the clip's end, or a number is out of range.
    """
    end = duration if choice.end is None else min(choice.end, duration)
    if not 0 <= choice.start < max(end, _EPSILON):
        raise OptionError(
            Phrase("video_range", start=choice.start, end=end, duration=duration),
            Phrase("do_fix_range"),
        )
    most = max_frames if choice.count is None else min(choice.count, max_frames)
    # Asking for a count asks for as many per second as it takes.
    span = end - choice.start
    fps = choice.fps if choice.count is None or span <= 0 else choice.count / span
    moments = (choice.start + moment for moment in choose_times(span, most, fps))
    return sorted({max(0, bisect_right(times, moment + _EPSILON) - 1) for moment in moments})


def most_changed(differences: Sequence[float], most: int) -> list[int]:
    """Positions of the frames to keep of a row: the first, and those that differ most from the one before, ascending.

    Args:
        differences: of each frame from the one before; that of the first has no meaning.
    """
    ranked = sorted(range(1, len(differences)), key=lambda position: (-differences[position], position))
    return sorted([0, *ranked[: max(0, most - 1)]]) if differences else []


def fit_pixels(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The largest (width, height) of the same shape with at most `max_pixels` pixels; never larger than `size`."""
    width, height = size
    if width * height <= max_pixels:
        return size
    scale = math.sqrt(max_pixels / (width * height))
    return max(1, int(width * scale + _EPSILON)), max(1, int(height * scale + _EPSILON))
