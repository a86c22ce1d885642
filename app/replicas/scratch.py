"""A folder for a process' files: if the process is killed, the next one that needs such a folder removes it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # Windows: what is left lies there until somebody removes it
    fcntl = None  # type: ignore[assignment]

PREFIX, NEW = "minicpm-v-replica-", "minicpm-v-starting-"


class Scratch:
    """A folder of this process, and the end of those whose processes are gone.

    Whoever has one has a lock on it, which the system takes back when the process ends, however that happens.
    """

    def __init__(self) -> None:
        if fcntl:
            _sweep(Path(tempfile.gettempdir()))
        # It gets its name once it is locked: until then nobody takes it for one that was left.
        folder = Path(tempfile.mkdtemp(prefix=NEW))
        self._lock = _locked(folder)
        self.path = folder if self._lock is None else folder.rename(folder.with_name(PREFIX + folder.name[len(NEW) :]))

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process removes it just now
            if folder.lstat().st_uid == os.getuid() and (lock := _locked(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _locked(folder: Path) -> int | None:
    """A lock on a folder, to be closed; None if another process has it or there are no locks here."""
    if not fcntl:
        return None
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
