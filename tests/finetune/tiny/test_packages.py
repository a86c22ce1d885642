"""npm packages: fetched once, checked, and a failure named. The npm here is a script that packs a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from finetune.tiny.packages import PackageError, fetch_package

SCRIPT = """#!/bin/sh
echo run >> "{log}"
[ "$2" = "icons@1.0.0" ] || exit 1
tar -C "{folder}" -czf "$5/icons-1.0.0.tgz" package
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm that knows one package; the file gets a line for each run."""
    log, packed, bin_folder = tmp_path / "log", tmp_path / "packed", tmp_path / "bin"
    (packed / "package" / "deep").mkdir(parents=True)
    (packed / "package" / "deep" / "a.json").write_text("{}")
    bin_folder.mkdir()
    npm = bin_folder / "npm"
    npm.write_text(SCRIPT.format(log=log, folder=packed))
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    return log


def test_a_file_is_fetched_once(log: Path, tmp_path: Path) -> None:
    for _ in range(2):
        (file,) = fetch_package("icons", "1.0.0", ["deep/a.json"], tmp_path / "cache")
        assert file == tmp_path / "cache" / "a.json" and file.read_text() == "{}"
    assert log.read_text().count("run") == 1


def test_a_package_that_does_not_exist_is_named(log: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"nothing@2\.0\.0"):
        fetch_package("nothing", "2.0.0", ["a.json"], tmp_path / "cache")


def test_a_file_that_the_package_lacks_is_named(log: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"no file b\.json"):
        fetch_package("icons", "1.0.0", ["b.json"], tmp_path / "cache")
    assert not (tmp_path / "cache" / "b.json").exists()


def test_without_npm_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match=r"Install Node\.js"):
        fetch_package("icons", "1.0.0", ["a.json"], tmp_path / "cache")
