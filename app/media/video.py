"""The one function in front of the video readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from app.errors import MediaError, OptionError, VideoError
from app.media.clip import Cancelled, Check, Clip, VideoFrames, VideoInfo
from app.media.frames import choose_frames
from app.media.kind import file_type, read_head

Reader: TypeAlias = Literal["pyav", "decord"]

MAX_FRAME_PIXELS = 9 * 448 * 448  # nine slices of 448 x 448 px, the most the model looks at


def read_frames(
    source: Path,
    max_frames: int = 64,
    fps: float = 1.0,
    reader: Reader = "pyav",
    max_pixels: int = MAX_FRAME_PIXELS,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
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
        positions = choose_frames(times, clip.info.duration, max_frames, fps)
        frames = []
        for frame in clip.read(positions, max_pixels, check):
            frames.append(frame)
            if on_progress is not None:
                on_progress(len(frames), len(positions))
        return VideoFrames(frames, [times[position] for position in positions], clip.info.duration, clip.info.fps)


def probe(source: Path) -> VideoInfo:
    """Length, size and rate of a video from its time stamps; of its pictures only the first is decoded.

    Raises:
        VideoError: as `read_frames`.
    """
    with _open(source, "pyav", lambda: None) as clip:
        return clip.info


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
    raise OptionError(f"The video reader is {reader!r}; allowed are 'pyav' and 'decord'.")


def _check_type(source: Path) -> None:
    try:
        found = file_type(read_head(source))
    except MediaError as error:
        raise VideoError(error.message, error.hint) from None
    if found.kind != "video" and found.name != "a GIF image":
        raise VideoError(f"The file is {found.name}, not a video.", "Attach a video such as MP4, WebM, MOV or AVI.")
