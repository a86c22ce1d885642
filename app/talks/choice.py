"""Which frames of a clip were chosen, as JSON; and the same read back from JSON that anyone may have written."""

from __future__ import annotations

from typing import Any, TypeGuard

from app.errors import RequestError
from app.messages import FrameChoice
from app.sampling import BY_NAME
from app.talks.checks import refused
from app.texts import Phrase

LONGEST = 7 * 24 * 3600.0  # seconds that a clip may last
RATES = (0.001, 240.0)  # frames per second
MAX_DROPPED = 10_000  # frames left out of one clip
LAST_FRAME = 10**9

_ALL = FrameChoice()


def choice_json(choice: FrameChoice) -> dict[str, Any]:
    """What differs from taking one frame per second of all."""
    form: dict[str, Any] = {
        name: value
        for name in ("start", "end", "fps", "count", "scenes")
        if (value := getattr(choice, name)) != getattr(_ALL, name)
    }
    return form | ({"dropped": sorted(choice.dropped)} if choice.dropped else {})


def read_choice(data: Any) -> FrameChoice:
    """The choice of `choice_json`; what is not said is as usual.

    Raises:
        AppError: not of this form, or out of range.
    """
    if data is None:
        return _ALL
    if not isinstance(data, dict):
        raise _refused()
    start, end, fps, count = (data.get(name, getattr(_ALL, name)) for name in ("start", "end", "fps", "count"))
    scenes, dropped = data.get("scenes", False), data.get("dropped", [])
    if not is_within(start, 0, LONGEST) or not is_within(fps, *RATES) or not isinstance(scenes, bool):
        raise _refused()
    if end is not None and not (is_within(end, 0, LONGEST) and start < end):
        raise _refused()
    left_out = read_dropped(dropped)
    if count is not None:
        count = BY_NAME["max_frames"].check(count)
    return FrameChoice(start, end, fps, count, scenes, left_out)


def read_dropped(data: Any) -> frozenset[int]:
    """Numbers of frames that are left out.

    Raises:
        RequestError: something else.
    """
    if not isinstance(data, list) or len(data) > MAX_DROPPED or not all(map(_is_frame, data)):
        raise _refused()
    return frozenset(data)


def is_within(value: Any, least: float, most: float) -> TypeGuard[float]:
    """Whether it is a number of this range."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _is_frame(value: Any) -> bool:
    return isinstance(value, int) and is_within(value, 0, LAST_FRAME)


def _refused() -> RequestError:
    return refused(Phrase("talk_choice"))
