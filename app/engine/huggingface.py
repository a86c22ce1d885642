"""Files of a model from the Hugging Face Hub, or a mirror of it (HF_ENDPOINT)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import get_session, tqdm

from app.engine.byte_progress import ByteProgress, OnProgress
from app.engine.wanted_files import WANTED, wanted_files
from app.errors import ModelNotFoundError
from app.texts import Phrase

FILES_BAR = "huggingface_hub.snapshot_download"  # the bar that counts bytes written, whatever way they came
PATIENCE = 10  # seconds until an unanswering hub counts as unreachable


def fetch(model: str, on_progress: OnProgress | None = None) -> Path:
    """Fetch the wanted files of a repository into the hub's cache; what is there already is kept.

    Raises:
        ModelNotFoundError: with the cause and what to do.
    """
    with _explained(model):
        if not _reachable():
            return Path(snapshot_download(model, local_files_only=True, allow_patterns=list(WANTED)))
        sizes = _sizes(model)
        names = wanted_files(sizes)
        cached = [name for name in names if isinstance(try_to_load_from_cache(model, name), str)]
        progress = ByteProgress(sum(map(sizes.__getitem__, names)), sum(map(sizes.__getitem__, cached)), on_progress)
        patterns = [escape(name) for name in names] or list(WANTED)
        folder = snapshot_download(model, allow_patterns=patterns, ignore_patterns="*.py", tqdm_class=_bar(progress))
        progress.finish()
        return Path(folder)


def fetch_file(model: str, name: str) -> Path:
    """Fetch one file.

    Raises:
        ModelNotFoundError: with the cause and what to do.
    """
    with _explained(model):
        return Path(hf_hub_download(model, name, local_files_only=not _reachable()))


def _reachable() -> bool:
    """Asked once without retries: the library's own would keep an offline start waiting for half a minute."""
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # offline mode and every kind of network error
        return False
    return True


def _sizes(model: str) -> dict[str, int]:
    """Bytes of each file by name; empty if the hub cannot be asked."""
    try:
        entries = HfApi().list_repo_tree(model, recursive=True)
        return {entry.path: entry.size for entry in entries if hasattr(entry, "size")}
    except Exception:  # the download that follows falls back to the cache or says what is wrong
        return {}


def _bar(progress: ByteProgress) -> type[tqdm]:
    """The library's bar for the terminal, which also tells `progress`."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("name") == FILES_BAR
            super().__init__(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts:
                progress.add(n or 0)
            return super().update(n)

    return Bar


@contextmanager
def _explained(model: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, EntryNotFoundError) as cause:
        raise ModelNotFoundError(*explain(model, cause)) from cause
    except Exception as cause:
        if type(cause).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2", "hf_xet"):
            raise
        raise ModelNotFoundError(*_broken_off(model, cause)) from cause


def explain(model: str, cause: Exception) -> tuple[str, str]:
    """What went wrong and what to do about it."""
    names = {"model": model, "hub": constants.ENDPOINT}
    kept = {"model": model, "cache": constants.HF_HUB_CACHE}
    if isinstance(cause, GatedRepoError):
        return Phrase("hub_gated", **names), Phrase("do_ask_huggingface", **names)
    if isinstance(cause, RepositoryNotFoundError):
        return Phrase("hub_unknown", **names), Phrase("do_spelling_login")
    if isinstance(cause, OfflineModeIsEnabled) or (constants.HF_HUB_OFFLINE and isinstance(cause, OSError)):
        return Phrase("hub_offline", **kept), Phrase("do_unset_offline")
    if isinstance(cause, LocalEntryNotFoundError):
        return Phrase("hub_away_cache", **names | kept), Phrase("do_connect_huggingface")
    if isinstance(cause, EntryNotFoundError):
        return Phrase("hub_no_config", **names), Phrase("do_check_the_name")
    if isinstance(cause, HfHubHTTPError):
        return Phrase("hub_answered", **names, status=cause.response.status_code), Phrase("do_later_endpoint")
    if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
        return Phrase("disk_full", **kept), Phrase("do_room")
    if isinstance(cause, OSError) and cause.errno:
        return Phrase("not_stored", **kept, strerror=cause.strerror), Phrase("do_set_home")
    return _broken_off(model, cause)


def _broken_off(model: str, cause: Exception) -> tuple[str, str]:
    broken = Phrase("fetch_broke_off", model=model, hub=constants.ENDPOINT, type=type(cause).__name__)
    return broken, Phrase("do_start_again")
