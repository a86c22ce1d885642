"""Files of a conversation on their way to the browser's store and back."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from app.errors import MediaError
from app.messages import Image, Video
from app.ui.api import uploaded_file
from app.ui.attachments import MAX_FILES, attachment

MAX_MEDIA = 2000  # of one conversation, all versions


class MediaIds:
    """Names of files by their content; each file is read once. May be used from any thread."""

    def __init__(self) -> None:
        self._ids: dict[tuple[Path, int, int], str] = {}
        self._last: dict[Path, str] = {}
        self._lock = Lock()

    def of(self, path: Path) -> str:
        """The SHA-256 of a file in hex; of one that is gone the last one, empty if it was never read."""
        try:
            stat = path.stat()
            key = path, stat.st_size, stat.st_mtime_ns
            with self._lock:
                known = self._ids.get(key)
            if known is None:
                with path.open("rb") as file:
                    known = hashlib.file_digest(file, "sha256").hexdigest()
                with self._lock:
                    self._ids[key] = self._last[path] = known
            return known
        except OSError:  # uploads are removed after a day; the browser has the content under this name
            with self._lock:
                return self._last.get(path, "")


def uploaded_media(given: Any, max_file_size: int) -> dict[str, Image | Video]:
    """Media that a browser says it has uploaded again, by id; what is no upload, picture or clip is missing.

    Args:
        given: paths by id.
        max_file_size: bytes.
    """
    items = list(given.items())[:MAX_MEDIA] if isinstance(given, Mapping) else []
    media: dict[str, Image | Video] = {}
    for name, path in items:
        try:
            media[name] = attachment(_used_again(path), max_file_size)
        except (MediaError, ValueError, OSError):
            continue
    return media


def uploaded_files(given: Any) -> tuple[Path, ...]:
    """Files of a draft that a browser says it has uploaded again; others are left out."""
    files: list[Path] = []
    for path in given[:MAX_FILES] if isinstance(given, list) else []:
        try:
            files.append(_used_again(path))
        except (MediaError, ValueError, OSError):
            continue
    return tuple(files)


def _used_again(given: Any) -> Path:
    """The file of an upload, which from now on lives as long as a new one.

    Raises:
        MediaError: no uploaded file.
    """
    path = uploaded_file(given)
    with suppress(OSError):
        # Gradio counts from the last change of the file's record, which this is; the time that `MediaIds` knows stays.
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    return path
