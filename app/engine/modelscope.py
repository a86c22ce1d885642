"""Files of a model from ModelScope (MODELSCOPE_ENDPOINT, MODELSCOPE_CACHE)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.engine.byte_progress import ByteProgress, OnProgress
from app.engine.wanted_files import wanted_files
from app.errors import ModelNotFoundError
from app.texts import Phrase

try:
    import requests
    from modelscope_hub import HubApi, HubConfig, ProgressCallback
    from modelscope_hub.errors import (
        AuthenticationError,
        CacheNotFound,
        FileDownloadError,
        HubError,
        NetworkError,
        NotExistError,
        PermissionDeniedError,
    )
except ModuleNotFoundError as cause:
    raise ModelNotFoundError(
        Phrase("modelscope_missing"),
        Phrase("do_install_modelscope"),
    ) from cause

PATIENCE = 10  # seconds until an unanswering hub counts as unreachable


def fetch(model: str, on_progress: OnProgress | None = None) -> Path:
    """Fetch the wanted files of a repository into ModelScope's cache; what is there already is kept.

    Raises:
        ModelNotFoundError: with the cause and what to do.
    """
    config = HubConfig()
    api = HubApi(config)
    with _explained(model, str(config.endpoint)):
        if not _reachable(str(config.endpoint)):
            return Path(api.download_repo(model, "model", local_files_only=True))
        files = {file.path: file for file in api.list_repo_files(model, "model") if not file.is_dir}
        names = wanted_files(files)
        progress = ByteProgress(sum(files[name].size for name in names), 0, on_progress)
        chosen = [{"Path": name, "Size": files[name].size, "Sha256": files[name].sha256} for name in names]
        folder = api.download_repo(model, "model", file_list=chosen, progress_callbacks=[_callback(progress)])
        progress.finish()
        return Path(folder)


def fetch_file(model: str, name: str) -> Path:
    """Fetch one file.

    Raises:
        ModelNotFoundError: with the cause and what to do.
    """
    config = HubConfig()
    api = HubApi(config)
    with _explained(model, str(config.endpoint)):
        offline = not _reachable(str(config.endpoint))
        return Path(api.download_file(model, "model", name, local_files_only=offline))


def _reachable(hub: str) -> bool:
    """Asked once without retries: the library's own would keep an offline start waiting for half a minute."""
    try:
        requests.head(hub, timeout=PATIENCE)
    except requests.exceptions.RequestException:
        return False
    return True


def _callback(progress: ByteProgress) -> type[ProgressCallback]:
    class Callback(ProgressCallback):
        def update(self, size: int) -> None:
            progress.add(size)

    return Callback


@contextmanager
def _explained(model: str, hub: str) -> Iterator[None]:
    try:
        yield
    except (HubError, OSError, ValueError) as cause:
        raise ModelNotFoundError(*explain(model, cause, hub)) from cause


def explain(model: str, cause: Exception, hub: str) -> tuple[str, str]:
    """What went wrong and what to do about it."""
    if isinstance(cause, FileDownloadError) and cause.failed_files:
        cause = next((e for e in cause.failed_files.values() if isinstance(e, Exception)), cause)
    names = {"model": model, "hub": hub}
    if isinstance(cause, (AuthenticationError, PermissionDeniedError)):
        return Phrase("hub_gated", **names), Phrase("do_ask_modelscope", **names)
    if isinstance(cause, NotExistError):
        return Phrase("hub_unknown", **names), Phrase("do_check_spelling")
    if isinstance(cause, (NetworkError, CacheNotFound)):
        return Phrase("hub_away", **names), Phrase("do_connect_modelscope")
    if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
        return Phrase("disk_full_modelscope", model=model), Phrase("do_room_modelscope")
    return Phrase("fetch_failed", **names, type=type(cause).__name__), Phrase("do_start_again")
