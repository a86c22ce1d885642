"""Pictures and videos of a request, from data URLs and from hosts that are allowed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic

from app.api.errors import ApiError, too_large
from app.api.fetch import DEADLINE, Fetcher
from app.api.store import MediaStore
from app.errors import MediaError
from app.media.kind import file_type, read_head
from app.messages import Image, Video

MAX_MEDIA = 64  # of one request
_DATA = re.compile(r"data:[^,]{0,200}?(;base64)?,", re.IGNORECASE)


class RequestMedia:
    """The media of one request; they are released when it ends.

    Args:
        max_file_size: of one file, in bytes.
    """

    def __init__(self, store: MediaStore, fetcher: Fetcher, max_file_size: int) -> None:
        self._store = store
        self._fetcher = fetcher
        self._max_file_size = max_file_size
        self._held: list[Path] = []
        self._over = False
        self._deadline: float | None = None  # of what comes from other hosts, once the first file is asked for
        self._lock = Lock()

    def release(self) -> None:
        """No answer needs them any more."""
        with self._lock:
            self._over = True
            held, self._held = self._held, []
        for path in held:
            self._store.release(path)

    def image(self, url: str) -> Image:
        """The picture at a URL.

        Raises:
            AppError: the URL is none that may be read, or there is no picture.
        """
        path = self._hold(url)
        found = file_type(read_head(path))
        if found.kind != "image":
            hint = "Send it as video_url." if found.kind == "video" else "Send a JPEG, PNG or WebP."
            raise MediaError(f"The file is {found.name}, not an image.", hint)
        return Image(path)

    def video(self, url: str) -> Video:
        """The video at a URL; an animated GIF is one too.

        Raises:
            AppError: the URL is none that may be read, or there is no video.
        """
        path = self._hold(url)
        found = file_type(read_head(path))
        if found.kind != "video" and found.name != "a GIF image":
            hint = "Send it as image_url." if found.kind == "image" else "Send an MP4 or WebM."
            raise MediaError(f"The file is {found.name}, not a video.", hint)
        return Video(path)

    def _hold(self, url: str) -> Path:
        if len(self._held) >= MAX_MEDIA:
            raise ApiError(f"The request has more than {MAX_MEDIA} images and videos.", "Send fewer.")
        self._check_waiting()
        path = self._store.hold(self._read(url))
        with self._lock:
            if not self._over:
                self._held.append(path)
                return path
        # Whoever asked has hung up while this thread was reading.
        self._store.release(path)
        raise gone()

    def _check_waiting(self) -> None:
        with self._lock:
            if self._over:
                raise gone()

    def _read(self, url: str) -> bytes:
        scheme = url.partition(":")[0].lower()
        readers: dict[str, Callable[[str, int], bytes]] = {
            "data": read_data_url, "http": self._fetch, "https": self._fetch,
        }  # fmt: skip
        if scheme not in readers:
            raise ApiError(
                "The URL is neither a data URL nor http(s).", "Send data:image/png;base64,...", code="invalid_url"
            )
        return readers[scheme](url, self._max_file_size)

    def _fetch(self, url: str, most: int) -> bytes:
        """All files of a request come within one deadline: slow hosts would hold one of the few readers for an hour."""
        if self._deadline is None:
            self._deadline = monotonic() + DEADLINE
        return self._fetcher.fetch(url, most, self._deadline)


def gone() -> ApiError:
    """Nobody waits for the reply any more."""
    return ApiError("The client has hung up.", status=499)


def read_data_url(url: str, most: int) -> bytes:
    """What a data URL holds; the type it claims is not believed.

    Args:
        most: bytes.

    Raises:
        ApiError: not base64, or too large.
    """
    head = _DATA.match(url)
    if not head or not head[1]:
        raise ApiError("The data URL is not base64.", "Send data:image/png;base64,...", code="invalid_url")
    if (len(url) - head.end()) // 4 * 3 > most + 3:
        raise too_large(most)
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("The data URL is not base64.", "Encode the file again.", code="invalid_url") from None
    if len(data) > most:
        raise too_large(most)
    return data
