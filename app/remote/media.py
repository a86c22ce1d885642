"""Pictures and videos as data URLs, each written once and kept for the next turn."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from app.errors import ImageError, RequestError
from app.media.clip import Cancelled
from app.messages import Image, Video
from app.texts import Phrase

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from app.media.video import Reader

SLICE_PIXELS = 448 * 448
MAX_PIXELS = 16 * SLICE_PIXELS  # of an image: the most that any number of slices shows the model
PNG_PIXELS = 4 * SLICE_PIXELS  # up to here without loss; above, PNG costs seconds and megabytes
JPEG_QUALITY = 95
MAX_IMAGE = 8 * 1024**2  # bytes of one image once it is written
MAX_REQUEST = 64 * 1024**2  # bytes of all media of one request
KEPT = 128 * 1024**2  # bytes of written media kept for later turns
FRAME_RATE = 1  # frames per second of a clip as it is sent: every frame of it was chosen

Cancel = Callable[[], bool]


class MediaWriter:
    """Writes media for all requests; may be used from any thread.

    Args:
        video_reader: library that decodes videos.
    """

    def __init__(self, video_reader: Reader = "pyav") -> None:
        self._reader: Reader = video_reader
        self._written: LRUCache[Hashable, tuple[str, ...]] = LRUCache(KEPT, lambda urls: sum(map(len, urls)))
        self._lock = Lock()

    def image(self, image: Image) -> str:
        """An image as a PNG or JPEG data URL.

        Raises:
            ImageError: it cannot be read.
        """
        return self._once(image.source, "image", lambda: (image_url(_read(image)),))[0]

    def frames(self, video: Video, most: int, cancelled: Cancel, on_progress: Callable[[int, int], None]) -> list[str]:
        """The chosen frames of a video as data URLs, each no larger than one slice.

        Args:
            most: frames at most.

        Raises:
            VideoError: it cannot be read.
            Cancelled: `cancelled` said so.
        """

        def write() -> tuple[str, ...]:
            return tuple(image_url(frame, SLICE_PIXELS) for frame in self._chosen(video, most, cancelled, on_progress))

        return list(self._once(video.source, f"frames {most} {video.choice}", write))

    def video(
        self, video: Video, most: int, limit: int, cancelled: Cancel, on_progress: Callable[[int, int], None]
    ) -> str:
        """The chosen frames of a video as a clip of one frame per second, as a data URL.

        Args:
            most: frames at most.
            limit: frames that the engine looks at; 0 for all.

        Raises:
            VideoError: it cannot be read.
            RequestError: more frames were chosen than the engine looks at.
            Cancelled: `cancelled` said so.
        """

        def write() -> tuple[str, ...]:
            frames = self._chosen(video, most, cancelled, on_progress)
            if limit and len(frames) > limit:
                raise RequestError(
                    Phrase("video_frames_over", count=len(frames), limit=limit),
                    Phrase("do_fewer_frames", limit=limit),
                )
            return (_data_url("video/mp4", write_clip(frames)),)

        return self._once(video.source, f"video {most} {video.choice}", write)[0]

    def _chosen(
        self, video: Video, most: int, cancelled: Cancel, on_progress: Callable[[int, int], None]
    ) -> list[PILImage]:
        from app.media.video import read_frames

        return read_frames(
            video.source,
            most,
            reader=self._reader,
            on_progress=on_progress,
            cancelled=cancelled,
            choice=video.choice,
        ).frames

    def _once(self, source: Any, how: str, write: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """What was written of a file before, if it has not changed since."""
        key = _identity(source, how)
        with self._lock:
            if key is not None and key in self._written:
                return self._written[key]
        urls = write()
        if key is not None:
            with self._lock, suppress(ValueError):  # larger than all that is kept
                self._written[key] = urls
        return urls


def image_url(image: PILImage, max_pixels: int = MAX_PIXELS) -> str:
    """An RGB picture as a data URL: PNG if it is small, else JPEG; shrunk if it has more pixels than a model looks at.

    Raises:
        ImageError: no way of writing it is small enough.
    """
    from app.media.frames import fit_pixels
    from app.media.resize import resize_bicubic

    size = fit_pixels(image.size, max_pixels)
    image = image if size == image.size else resize_bicubic(image, size)
    file = io.BytesIO()
    if image.width * image.height <= min(PNG_PIXELS, max_pixels) and max_pixels > SLICE_PIXELS:
        image.save(file, "PNG")
        if file.tell() <= MAX_IMAGE:
            return _data_url("image/png", file.getvalue())
        file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    if file.tell() > MAX_IMAGE:
        raise ImageError(Phrase("image_bytes", size=file.tell(), limit=MAX_IMAGE), Phrase("do_smaller_image"))
    return _data_url("image/jpeg", file.getvalue())


def write_clip(frames: Sequence[PILImage]) -> bytes:
    """An MP4 of these pictures, in the size of the first, one per second, each of them a whole picture."""
    import av

    from app.media.resize import resize_bicubic

    width, height = (max(2, side - side % 2) for side in frames[0].size)  # the codec halves the colours' size
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "12", "preset": "veryfast", "g": "1", "bf": "0"}
        for picture in frames:
            fitting = picture if picture.size == (width, height) else resize_bicubic(picture, (width, height))
            container.mux(stream.encode(av.VideoFrame.from_image(fitting)))
        container.mux(stream.encode())
    return file.getvalue()


def check_total(urls: int) -> None:
    """Refuse a request whose media are too many bytes.

    Raises:
        RequestError: more than `MAX_REQUEST`.
    """
    if urls > MAX_REQUEST:
        raise RequestError(
            Phrase("request_bytes", limit=MAX_REQUEST // 1024**2),
            Phrase("do_fewer_smaller"),
        )


def stop_if(cancelled: Cancel) -> None:
    """Raise `Cancelled` if it was asked for."""
    if cancelled():
        raise Cancelled


def _read(image: Image) -> PILImage:
    from app.media.images import read_image

    return read_image(image.source)


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _identity(source: Any, how: str) -> Hashable | None:
    """What a file is known by, None for what is no file or cannot be looked at."""
    if not isinstance(source, Path):
        return None
    try:
        state = source.stat()
    except OSError:
        return None  # reading it says what is wrong
    return (str(source), state.st_ino, state.st_size, state.st_mtime_ns, how)
