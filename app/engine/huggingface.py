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
    hub = constants.ENDPOINT
    if isinstance(cause, GatedRepoError):
        return (f"{model} on {hub} is open only to accounts that were given access.",
                f"Ask for it at {hub}/{model}, then run `hf auth login` or set HF_TOKEN.")  # fmt: skip
    if isinstance(cause, RepositoryNotFoundError):
        return (f"{model} is neither a folder here nor a repository on {hub}.",
                "Check the spelling; for a private one run `hf auth login` or set HF_TOKEN.")  # fmt: skip
    if isinstance(cause, OfflineModeIsEnabled) or (constants.HF_HUB_OFFLINE and isinstance(cause, OSError)):
        return (f"HF_HUB_OFFLINE is set and {model} is not complete in the cache {constants.HF_HUB_CACHE}.",
                "Unset HF_HUB_OFFLINE, or name a folder with --model.")  # fmt: skip
    if isinstance(cause, LocalEntryNotFoundError):
        return (f"{hub} cannot be reached and {model} is not complete in the cache {constants.HF_HUB_CACHE}.",
                "Check the connection, set HF_ENDPOINT to a mirror, try --source modelscope, or name a folder with "
                "--model.")  # fmt: skip
    if isinstance(cause, EntryNotFoundError):
        return f"{model} on {hub} has no config.json.", "Check the name."
    if isinstance(cause, HfHubHTTPError):
        return f"{hub} answered {cause.response.status_code} for {model}.", "Try again later, or another HF_ENDPOINT."
    if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
        return (f"The disk is full: {model} does not fit in {constants.HF_HUB_CACHE}.",
                "Make room, or set HF_HOME to a folder on a larger disk; what was fetched is kept.")  # fmt: skip
    if isinstance(cause, OSError) and cause.errno:
        return f"{model} cannot be stored in {constants.HF_HUB_CACHE} ({cause.strerror}).", "Set HF_HOME."
    return _broken_off(model, cause)


def _broken_off(model: str, cause: Exception) -> tuple[str, str]:
    return (f"Fetching {model} from {constants.ENDPOINT} broke off ({type(cause).__name__}).",
            "Start again; what was fetched is kept.")  # fmt: skip
