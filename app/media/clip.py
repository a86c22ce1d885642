"""What the video readers share: the records they return and the interface they fulfil."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from PIL import Image

Check: TypeAlias = Callable[[], None]
"""Called between two frames; raises to end the work."""


class Cancelled(Exception):
    """The caller asked to stop. No `AppError`: there is nothing to tell the user."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A clip as it is played.

    Attributes:
        duration: in seconds, the last frame's own included.
        width: in pixels, after rotation.
        height: in pixels, after rotation.
        frames: how many there are.
        fps: frames per second on average.
    """

    duration: float
    width: int
    height: int
    frames: int
    fps: float


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """The chosen frames of a clip.

    Attributes:
        frames: RGB, upright; of one size, unless the clip itself changes its size.
        times: when each appears, in seconds from the first frame of the clip.
        duration: of the whole clip in seconds.
        fps: of the clip (not of the choice), on average.
    """

    frames: list[Image.Image]
    times: list[float]
    duration: float
    fps: float


class Clip(Protocol):
    """An open video whose time stamps are known and whose frames are decoded late."""

    @property
    def info(self) -> VideoInfo:
        """Size, length and rate."""

    @property
    def times(self) -> Sequence[float]:
        """When each frame appears, in seconds from the first, ascending."""

    def read(self, positions: Sequence[int], max_pixels: int, check: Check) -> Iterator[Image.Image]:
        """Yield the frames at ascending positions of `times`, in RGB, upright, of at most `max_pixels` pixels.

        Raises:
            VideoError: a frame cannot be decoded.
        """

    def close(self) -> None:
        """Free the decoder and the file."""
