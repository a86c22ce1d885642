"""Videos by PyAV: the default reader, exact on every codec and frame rate it was tried with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from PIL import Image

from app.errors import VideoError
from app.media.clip import Check, VideoInfo
from app.media.frames import fit_pixels
from app.media.timeline import Stamp, Timeline
from app.texts import Phrase

# Containers that hold a video themselves. A playlist names other files, of this machine too, and may never end.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,ogg,asf,mpeg,mpegts,mpegvideo,gif"
_OPTIONS = {"fflags": "+genpts", "format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
# Twice those of 8K. A decoder holds several frames at once.
MAX_CODED_PIXELS = 67_000_000
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}

# What PyAV raises on a damaged file; IndexError when a track begins that the header did not announce.
_FAILURES = (av.FFmpegError, OSError, ValueError, IndexError)


class _Decoded(NamedTuple):
    shown: int  # ticks
    frame: VideoFrame


class PyAVClip:
    """A video read by PyAV. Opening scans all time stamps, without decoding but for the first frame.

    Args:
        source: the file; its type has been checked.
        check: called between packets; raises to end the scan.

    Raises:
        VideoError: the file is broken, has no picture, or none that this build can decode.
    """

    def __init__(self, source: Path, check: Check) -> None:
        try:  # "file:" keeps a name from being taken for a protocol; errors drop their cause, which holds the name
            self._container = av.open(f"file:{source}", options=_OPTIONS)
        except _FAILURES:
            raise _broken() from None
        try:
            self._stream = _picture_stream(self._container.streams.video)
            self._stream.thread_type = "AUTO"
            self._counted = _stamps_mislead(self._container.format.name, self._stream.codec_context.name)
            self._timeline = Timeline(self._scan(check), self._stream.time_base or av.time_base)
            self._decoder: Iterator[_Decoded] = iter(())
            self._newest: _Decoded | None = None
            self._info = self._describe(self._frame_at(self._timeline.shown(0), check))
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> VideoInfo:
        """Size, length and rate."""
        return self._info

    @property
    def times(self) -> Sequence[float]:
        """When each frame appears, in seconds from the first, ascending."""
        return self._timeline.times

    def read(self, positions: Sequence[int], max_pixels: int, check: Check) -> Iterator[Image.Image]:
        """Yield the frames at ascending positions of `times`, in RGB, upright, of at most `max_pixels` pixels.

        A frame too damaged to decode is replaced by the one on screen before it.

        Raises:
            VideoError: nothing can be decoded.
        """
        for position in positions:
            yield _to_picture(self._frame_at(self._timeline.shown(position), check), max_pixels)

    def close(self) -> None:
        """Free the decoder and the file."""
        self._container.close()

    def _scan(self, check: Check) -> list[Stamp]:
        stamps = []
        try:
            for packet in self._container.demux(self._stream):
                check()
                shown = packet.dts if packet.pts is None else packet.pts
                if shown is None or not packet.size or packet.is_discard:
                    continue
                stored = shown if packet.dts is None else packet.dts
                stamps.append(Stamp(shown, stored, packet.duration or 0, packet.is_keyframe))
        except _FAILURES:
            pass  # a file cut off: what came before the cut counts
        if not stamps:
            raise VideoError(Phrase("video_no_frames"), Phrase("do_attach_copy"))
        return stamps

    def _describe(self, first: VideoFrame) -> VideoInfo:
        count, duration = len(self._timeline.times), self._timeline.duration
        upright = first.rotation % 180 == 0
        return VideoInfo(
            duration=duration,
            width=first.width if upright else first.height,
            height=first.height if upright else first.width,
            frames=count,
            fps=count / duration if duration else float(self._stream.average_rate or 0),
        )

    def _frame_at(self, shown: int, check: Check) -> VideoFrame:
        """The frame on screen at a moment, given in ticks."""
        key = None if self._counted else self._timeline.key_before(shown)
        newest = self._newest
        if newest is None or newest.shown > shown or (key is not None and key.shown > newest.shown):
            self._start_before(shown, check)
        before: _Decoded | None = None
        while self._newest is None or self._newest.shown < shown:
            check()
            following = next(self._decoder, None)
            if following is None:
                break
            before, self._newest = self._newest, following
        if self._newest is None:
            raise VideoError(Phrase("video_undecoded"), Phrase("do_convert_mp4"))
        return before.frame if before is not None and self._newest.shown > shown else self._newest.frame

    def _start_before(self, shown: int, check: Check) -> None:
        """Begin decoding at the last key frame that yields a frame at or before `shown`."""
        back = 0
        while not self._counted and (key := self._timeline.key_before(shown, back)) is not None:
            self._seek(key.stored)
            if self._newest is not None and self._newest.shown <= shown:
                return
            check()
            back = 2 * back + 1  # some containers land late, or on a key frame that needs what is before it
        self._seek(0 if self._counted else self._timeline.shown(0) - 1)

    def _seek(self, stored: int) -> None:
        try:
            self._container.seek(stored, stream=self._stream)
        except _FAILURES:  # nothing before: begin at the start of the file
            self._rewind()
        self._decoder = self._decode()
        self._newest = next(self._decoder, None)

    def _rewind(self) -> None:
        try:
            self._container.seek(0)
        except _FAILURES:
            raise _broken() from None

    def _decode(self) -> Iterator[_Decoded]:
        """Frames from here to the end in the order they are shown; damaged packets are passed over."""
        packets = self._container.demux(self._stream)
        position = 0
        while True:
            try:
                packet = next(packets, None)
            except _FAILURES:
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except _FAILURES:
                continue
            for frame in frames:
                if self._counted:
                    yield _Decoded(self._timeline.shown(position), frame)
                elif frame.pts is not None:
                    yield _Decoded(frame.pts, frame)
                position += 1


def _picture_stream(streams: Sequence[VideoStream]) -> VideoStream:
    moving = [stream for stream in streams if not stream.disposition & stream.disposition.attached_pic]
    if not moving:
        raise VideoError(Phrase("video_audio_only"), Phrase("do_attach_track"))
    if moving[0].codec_context is None:
        raise VideoError(Phrase("video_codec"), Phrase("do_convert_h264"))
    width, height = moving[0].codec_context.width, moving[0].codec_context.height
    if width * height > MAX_CODED_PIXELS:
        size = Phrase("pixels", width=width, height=height)
        raise VideoError(Phrase("video_large", size=size, limit=MAX_CODED_PIXELS / 1e6), Phrase("do_smaller_copy"))
    return moving[0]


def _stamps_mislead(container: str, codec: str) -> bool:
    """Whether frames must be counted from the start, because time stamps change or lie once decoding begins.

    MPEG program streams lose a stamp with every seek; AVI has none, and made-up ones are wrong where frames are
    stored out of order.
    """
    return container == "mpeg" or (container == "avi" and codec in ("h264", "hevc"))


def _to_picture(frame: VideoFrame, max_pixels: int) -> Image.Image:
    """Scaled in the decoder's own format, before the three bytes per pixel exist; transparency over white."""
    width, height = fit_pixels((frame.width, frame.height), max_pixels)
    transparent = any(component.is_alpha for component in frame.format.components)
    scaled = frame.reformat(width, height, "rgba" if transparent else "rgb24", interpolation=Interpolation.BICUBIC)
    picture = Image.fromarray(scaled.to_ndarray())
    if transparent:
        layer, picture = picture, Image.new("RGB", picture.size, "white")
        picture.paste(layer, mask=layer.getchannel("A"))
    turn = _TURNS.get(frame.rotation % 360)
    return picture if turn is None else picture.transpose(turn)


def _broken() -> VideoError:
    return VideoError(Phrase("video_broken"), Phrase("do_attach_mp4"))
