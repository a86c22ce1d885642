"""The media of requests as files: one file per content, so that what was decoded of it is found again."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from uuid import uuid4

from app.errors import BackendBusyError

KEPT = 1024**3  # bytes


class MediaStore:
    """Files of a folder of its own, the least recently used thrown out; used from any thread.

    Args:
        most: bytes of all files together.
        place: where its folder is made; None is where temporary files lie.
    """

    def __init__(self, most: int = KEPT, place: Path | None = None) -> None:
        self._most = most
        self._folder = TemporaryDirectory(prefix="minicpm-v-media-", dir=place)
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._users: dict[Path, int] = {}
        self._writing = 0  # bytes of files that are not whole yet
        self._lock = Lock()

    def __enter__(self) -> MediaStore:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def hold(self, data: bytes) -> Path:
        """The file of this content, which stays until it is released as often as it was held.

        Raises:
            BackendBusyError: the files of requests that run take all the room.
        """
        path = Path(self._folder.name) / hashlib.sha256(data).hexdigest()
        with self._lock:
            if path in self._sizes:
                self._take(path)
                return path
            self._make_room(len(data))
            self._writing += len(data)
        # Not under the lock: whoever releases a file, on the event loop, would wait for the disk.
        part = path.with_name(f"{path.name}.{uuid4().hex}")
        try:
            part.write_bytes(data)
        except BaseException:
            part.unlink(missing_ok=True)
            with self._lock:
                self._writing -= len(data)
            raise
        with self._lock:
            self._writing -= len(data)
            self._keep(part, path, len(data))
        return path

    def _keep(self, part: Path, path: Path, size: int) -> None:
        """A file is whole; another request may have brought the same content meanwhile."""
        if path in self._sizes:
            part.unlink()
        else:
            os.replace(part, path)
            self._sizes[path] = size
        self._take(path)

    def _take(self, path: Path) -> None:
        self._sizes.move_to_end(path)
        self._users[path] = self._users.get(path, 0) + 1

    def release(self, path: Path) -> None:
        """A request that held the file has ended."""
        with self._lock:
            self._users[path] -= 1
            if not self._users[path]:
                del self._users[path]

    @property
    def _taken(self) -> int:
        return sum(self._sizes.values()) + self._writing

    def _make_room(self, size: int) -> None:
        for path in [path for path in self._sizes if path not in self._users]:
            if self._taken + size <= self._most:
                return
            del self._sizes[path]
            path.unlink(missing_ok=True)
        if self._taken + size > self._most:
            raise BackendBusyError(
                "The images and videos of other requests take all the room.", "Try again in a while."
            )
