"""Uploads lie in a folder of the server's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.upload_folder import VARIABLE, own_upload_folder


def test_each_server_has_its_own_which_goes_with_it() -> None:
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    with own_upload_folder(first), own_upload_folder(second):
        folder = Path(first[VARIABLE])
        assert folder.is_dir() and folder != Path(second[VARIABLE])
        (folder / "picture.png").write_bytes(b"")
    assert not folder.exists() and not first and not second


def test_it_goes_after_an_error_too() -> None:
    environ: dict[str, str] = {}
    with pytest.raises(KeyboardInterrupt), own_upload_folder(environ):
        folder = Path(environ[VARIABLE])
        raise KeyboardInterrupt
    assert not folder.exists() and not environ


def test_the_folder_that_the_user_names_is_taken_and_kept(tmp_path: Path) -> None:
    environ = {VARIABLE: str(tmp_path)}
    with own_upload_folder(environ):
        assert environ == {VARIABLE: str(tmp_path)}
    assert tmp_path.is_dir()
