"""Videos by decord, for those who ask for it.

decord 0.6 has wheels for Linux and Windows on x86-64 only. On HEVC clips with open groups of pictures, which is what
x265 writes by default, it returns the following frame after the first group; PyAV returns the right one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from app.errors import VideoError
from app.media.clip import Check, VideoInfo
from app.media.frames import fit_pixels
from app.texts import Phrase


class DecordClip:
    """A video read by decord.

    Args:
        source: the file; its type has been checked.
        check: called once; raises to end the work.

    Raises:
        VideoError: decord is not installed or cannot read the file.
    """

    def __init__(self, source: Path, check: Check) -> None:
        check()
        try:
            import decord
        except ImportError:
            raise VideoError(
                Phrase("decord_missing"),
                Phrase("do_install_decord"),
            ) from None
        try:
            self._reader: Any = decord.VideoReader(str(source.absolute()))
            stamps = self._reader.get_frame_timestamp(range(len(self._reader)))
            self._times = [float(start - stamps[0][0]) for start, _ in stamps]
            height, width = self._reader[0].shape[:2]
        except Exception:  # decord raises errors of its own and of C++, all of which hold the file's name
            raise _unreadable() from None
        duration = float(stamps[-1][1] - stamps[0][0])
        self._info = VideoInfo(duration, width, height, len(self._times), float(self._reader.get_avg_fps()))

    @property
    def info(self) -> VideoInfo:
        """Size, length and rate."""
        return self._info

    @property
    def times(self) -> Sequence[float]:
        """When each frame appears, in seconds from the first, ascending."""
        return self._times

    def read(self, positions: Sequence[int], max_pixels: int, check: Check) -> Iterator[Image.Image]:
        """Yield the frames at ascending positions of `times`, in RGB, upright, of at most `max_pixels` pixels.

        Raises:
            VideoError: a frame cannot be decoded.
        """
        for position in positions:
            check()
            try:
                picture = Image.fromarray(self._reader[position].asnumpy())
            except Exception:  # as above
                raise _unreadable() from None
            size = fit_pixels(picture.size, max_pixels)
            yield picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)

    def close(self) -> None:
        """Free the decoder and the file."""
        self._reader = None


def _unreadable() -> VideoError:
    return VideoError(
        Phrase("decord_failed"),
        Phrase("do_use_pyav"),
    )
