"""The media of requests as files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from app.api.store import MediaStore
from app.errors import BackendBusyError


def written(path: Path) -> tuple[int, int, int]:
    """What tells whether a file was written again; the time of the last reading, which `stat` has too, does not."""
    state = path.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


def test_the_same_content_is_the_same_file() -> None:
    with MediaStore() as store:
        path = store.hold(b"one")
        state = written(path)
        assert path.read_bytes() == b"one" and store.hold(b"one") == path != store.hold(b"two")
        assert written(path) == state, "what was decoded of it would not be found again"


def test_the_least_recently_used_goes_first_and_what_is_held_stays() -> None:
    with MediaStore(most=10) as store:
        held, old, used = (store.hold(bytes([number]) * 3) for number in range(3))
        store.release(old)
        store.release(used)
        store.release(store.hold(b"\1" * 3))  # used again
        new = store.hold(b"\3" * 3)
        assert held.exists() and old.exists() and new.exists() and not used.exists()


def test_a_file_stays_until_every_request_released_it() -> None:
    with MediaStore(most=4) as store:
        path = store.hold(b"one")
        store.hold(b"one")
        store.release(path)
        with pytest.raises(BackendBusyError):
            store.hold(b"two")
        assert path.exists()
        store.release(path)
        assert store.hold(b"two").exists() and not path.exists()


def test_nobody_waits_for_the_disk_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Releasing happens on the event loop, which every stream shares."""
    writing, go_on = Event(), Event()
    usual = Path.write_bytes

    def slow(path: Path, data: bytes) -> int:
        if data == b"large":
            writing.set()
            assert go_on.wait(30)
        return usual(path, data)

    with MediaStore(most=13) as store, ThreadPoolExecutor() as pool:
        held = store.hold(b"one")
        monkeypatch.setattr(Path, "write_bytes", slow)
        twice = [pool.submit(store.hold, b"large") for _ in range(2)]
        assert writing.wait(30)
        store.release(held)
        with pytest.raises(BackendBusyError):
            store.hold(b"another")  # what is being written takes its room already
        go_on.set()
        path, same = (each.result(30) for each in twice)
        assert path == same and path.read_bytes() == b"large"
        assert path in (files := list(path.parent.iterdir())) and all("." not in file.name for file in files)
        store.release(path)
        with pytest.raises(BackendBusyError):
            store.hold(b"0123456789")
        store.release(path)
        assert store.hold(b"0123456789").exists() and not path.exists()


def test_a_full_disk_takes_no_room_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with MediaStore(most=4) as store:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", full)
            with pytest.raises(OSError, match="space"):
                store.hold(b"one")
        assert store.hold(b"four").exists()


def test_nothing_is_left_behind() -> None:
    with MediaStore() as store:
        folder = store.hold(b"one").parent
    assert not folder.exists()


def test_only_this_user_may_read() -> None:
    with MediaStore() as store:
        assert store.hold(b"one").parent.stat().st_mode & 0o077 == 0
