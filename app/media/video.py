"""The one function in front of the video readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import MediaError, OptionError, VideoError
from app.media.clip import Cancelled, Check, Clip, VideoFrames, VideoInfo
from app.media.frames import choose_within, fit_pixels, most_changed
from app.media.kind import file_type, read_head
from app.messages import FrameChoice
from app.texts import Phrase

Reader: TypeAlias = Literal["pyav", "decord"]

# Frames looked at for each that is kept as a new scene, at most so many, and how large.
SCENE_CANDIDATES = 4
MAX_SCENE_CANDIDATES = 256
SCENE_PIXELS = 128 * 128

MAX_FRAME_PIXELS = 9 * 448 * 448  # nine slices of 448 x 448 px, the most the model looks at


def read_frames(
    source: Path,
    max_frames: int = 64,
    fps: float = 1.0,
    reader: Reader = "pyav",
    max_pixels: int = MAX_FRAME_PIXELS,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    choice: FrameChoice | None = None,
) -> VideoFrames:
    """Decode `fps` frames per second of a video, or `max_frames` evenly over it if those are too many.

    Args:
        source: the file; its content decides, not its name. An animated GIF is a video here too.
        max_frames: at most so many frames.
        fps: frames per second wanted.
        reader: "pyav" or "decord".
        max_pixels: larger frames are shrunk to this many pixels (width x height), in the same shape.
        on_progress: called with (frames done, frames in all) after each frame.
        cancelled: asked often, between packets and frames; True ends the work.
        choice: which frames, at most `max_frames`; it has its own `fps`.

    Raises:
        VideoError: the file is no video, broken, without a picture, or the reader is not installed.
        OptionError: `max_frames`, `fps` or `reader` is out of range.
        Cancelled: `cancelled` said so. It is no `AppError`.
    """

    def check() -> None:
        if cancelled is not None and cancelled():
            raise Cancelled

    with _open(source, reader, check) as clip:
        times = clip.times
        positions = _positions(clip, max_frames, choice or FrameChoice(fps=fps), check)
        frames = []
        for frame in clip.read(positions, max_pixels, check):
            frames.append(frame)
            if on_progress is not None:
                on_progress(len(frames), len(positions))
        return VideoFrames(frames, [times[position] for position in positions], clip.info.duration, clip.info.fps)


@dataclass(frozen=True, slots=True)
class ChosenFrames:
    """The frames that `read_frames` would return, not decoded.

    Attributes:
        positions: numbers of the frames in the clip, from 0. times: seconds from the first frame.
        size: (width, height) in pixels of each.
    """

    positions: tuple[int, ...]
    times: tuple[float, ...]
    size: tuple[int, int]
    info: VideoInfo


def choose(
    source: Path,
    max_frames: int,
    choice: FrameChoice,
    reader: Reader = "pyav",
    max_pixels: int = MAX_FRAME_PIXELS,
    cancelled: Callable[[], bool] | None = None,
) -> ChosenFrames:
    """What `read_frames` would return, from the clip's time stamps; only for scenes some frames are decoded, small.

    Raises:
        VideoError, OptionError, Cancelled: as `read_frames`.
    """

    def check() -> None:
        if cancelled is not None and cancelled():
            raise Cancelled

    with _open(source, reader, check) as clip:
        return _chosen(clip, _positions(clip, max_frames, choice, check), max_pixels)


def preview(
    source: Path, max_frames: int, choice: FrameChoice, max_pixels: int
) -> tuple[ChosenFrames, list[Image.Image]]:
    """What `choose` says and the frames themselves, of at most `max_pixels` pixels, by opening the file once.

    Raises:
        VideoError, OptionError: as `read_frames`.
    """

    def check() -> None:
        pass

    with _open(source, "pyav", check) as clip:
        chosen = _chosen(clip, _positions(clip, max_frames, choice, check), max_pixels)
        return chosen, list(clip.read(chosen.positions, max_pixels, check))


def _chosen(clip: Clip, positions: Sequence[int], max_pixels: int) -> ChosenFrames:
    times, info = clip.times, clip.info
    size = fit_pixels((info.width, info.height), max_pixels)
    return ChosenFrames(tuple(positions), tuple(times[position] for position in positions), size, info)


def _positions(clip: Clip, max_frames: int, choice: FrameChoice, check: Check) -> list[int]:
    """Numbers of the chosen frames, ascending."""
    times, duration = clip.times, clip.info.duration
    if choice.scenes:
        most = min(choice.count or max_frames, max_frames)
        looked_at = replace(choice, count=min(most * SCENE_CANDIDATES, MAX_SCENE_CANDIDATES), fps=1.0)
        candidates = choose_within(times, duration, MAX_SCENE_CANDIDATES, looked_at)
        kept = most_changed(_differences(clip.read(candidates, SCENE_PIXELS, check)), most)
        positions = [candidates[at] for at in kept]
    else:
        positions = choose_within(times, duration, max_frames, choice)
    left = [position for position in positions if position not in choice.dropped]
    if not left:
        raise OptionError(Phrase("video_no_frames_left"), Phrase("do_take_frames"))
    return left


def _differences(frames: Iterable[Image.Image]) -> list[float]:
    """How much each frame differs from the one before, as the mean of its grey values; 0 for the first."""
    found: list[float] = []
    before: NDArray[np.int16] | None = None
    for frame in frames:
        grey = np.asarray(frame.convert("L").resize((32, 32), Image.Resampling.BOX), np.int16)
        found.append(0.0 if before is None else float(np.abs(grey - before).mean()))
        before = grey
    return found


@contextmanager
def _open(source: Path, reader: Reader, check: Check) -> Iterator[Clip]:
    _check_type(source)
    clip = _opener(reader)(source, check)
    try:
        yield clip
    finally:
        clip.close()


def _opener(reader: Reader) -> Callable[[Path, Check], Clip]:
    if reader == "pyav":
        from app.media.video_pyav import PyAVClip

        return PyAVClip
    if reader == "decord":
        from app.media.video_decord import DecordClip

        return DecordClip
    raise OptionError(Phrase("video_reader", reader=reader))


def _check_type(source: Path) -> None:
    try:
        found = file_type(read_head(source))
    except MediaError as error:
        raise VideoError(error.message, error.hint) from None
    if found.kind != "video" and found.name != "a GIF image":
        raise VideoError(Phrase("not_a_video", name=found.name), Phrase("do_attach_video"))
