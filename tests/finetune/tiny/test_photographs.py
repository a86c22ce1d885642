"""Photographs from packages: fetched once, made smaller, and a failure named. The programs here are scripts."""

from __future__ import annotations

import os
import shlex
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finetune.tiny import photographs
from finetune.tiny.packages import PackageError
from finetune.tiny.photographs import ALBUMS, Album, load, main

DEBIAN = Album("debian", "walls", "1.0-1", "usr/share", ("hills.jpg",), "CC0-1.0", "somebody")
WHEEL = Album("pypi", "pictures", "1.0.0", "data", ("stones.png",), "CC0-1.0", "somebody")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An apt-get and a dpkg-deb that know one package, and a pip that knows one wheel; it gets a line for each run."""
    log, bin_folder, files = tmp_path / "log", tmp_path / "bin", tmp_path / "files"
    bin_folder.mkdir()
    (files / "usr" / "share").mkdir(parents=True)
    Image.new("RGB", (2000, 1000), (200, 30, 30)).save(files / "usr" / "share" / "hills.jpg")
    Image.new("L", (300, 300), 90).save(tmp_path / "stones.png")
    with zipfile.ZipFile(tmp_path / "pictures-1.0.0-py3-none-any.whl", "w") as archive:
        archive.write(tmp_path / "stones.png", "data/stones.png")
    scripts = {
        "apt-get": 'echo "$@" >> {log}; [ "$2" = walls=1.0-1 ] && touch walls.deb',
        "dpkg-deb": '[ "$2" = walls.deb ] && cp -r {files} "$3"',
        "python": 'echo "$@" >> {log}; [ "$4" = pictures==1.0.0 ] && cp {wheel} .',
    }
    places = {"log": log, "files": files, "wheel": tmp_path / "pictures-1.0.0-py3-none-any.whl"}
    quoted = {name: shlex.quote(str(path)) for name, path in places.items()}
    for name, script in scripts.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{script.format(**quoted)}\n")
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(bin_folder / "python"))
    monkeypatch.setattr(photographs, "ALBUMS", (DEBIAN, WHEEL))
    return log


def test_they_are_fetched_once_and_made_smaller(log: Path, tmp_path: Path) -> None:
    for _ in range(2):
        hills, stones = load(tmp_path / "cache")
        assert hills.shape == (500, 1000, 3) and abs(hills.mean((0, 1)) - (200, 30, 30)).max() < 4
        assert stones.shape == (300, 300, 3) and stones.dtype == np.uint8 and abs(stones.mean() - 90) < 2
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("album", "said"),
    [
        (Album("debian", "other", "2.0", "usr/share", ("a.jpg",), "", ""), "other=2.0"),
        (Album("pypi", "other", "2.0", "data", ("a.jpg",), "", ""), "other==2.0"),
        (Album("debian", "walls", "1.0-1", "usr/share", ("sea.jpg",), "", ""), "no file usr/share/sea.jpg"),
    ],
)
def test_what_is_not_there_is_named(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, album: Album, said: str
) -> None:
    monkeypatch.setattr(photographs, "ALBUMS", (album,))
    with pytest.raises(PackageError, match=said):
        load(tmp_path / "cache")
    assert not list((tmp_path / "cache" / "photographs").iterdir())


def test_without_debian_it_says_what_to_do(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--cache", str(tmp_path / "cache")]) == 1
    said = capsys.readouterr().err
    assert "apt-get was not found" in said and "copy the folder photographs/" in said


def test_the_command_says_how_many_there_are(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cache", str(tmp_path / "cache")]) == 0
    assert capsys.readouterr().out == "2 photographs\n"


def test_every_album_is_pinned_and_licensed() -> None:
    names = [name for album in ALBUMS for name in album.files]
    assert len({Path(name).stem for name in names}) == len(names) >= 20
    assert all(album.version[0].isdigit() and album.license and album.authors for album in ALBUMS)
