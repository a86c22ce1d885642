"""Fetch pinned npm packages: the icon sets and fonts that the training pictures are drawn with."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from app.errors import AppError


class PackageError(AppError):
    """A package of icons or fonts cannot be fetched or lacks a file."""


def fetch_package(name: str, version: str, members: Iterable[str], target: Path) -> list[Path]:
    """Put files of an npm package into a folder; files that already stand there are not fetched again.

    Args:
        name: package, "@scope/name" or "name".
        version: exact version.
        members: files inside the package, relative to its root.
        target: folder that gets them, under their own base names.

    Returns:
        The files, in the order of `members`.

    Raises:
        PackageError: npm is missing or fails, or the package has no such file.
    """
    wanted = {member: target / Path(member).name for member in members}
    if all(path.exists() for path in wanted.values()):
        return list(wanted.values())
    target.mkdir(parents=True, exist_ok=True)
    specifier = f"{name}@{version}"
    with tempfile.TemporaryDirectory() as folder, tarfile.open(_pack(specifier, Path(folder))) as archive:
        for member, path in wanted.items():
            _copy(archive, specifier, member, path)
    return list(wanted.values())


def _pack(specifier: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise PackageError("npm was not found; icons and fonts come as npm packages.", "Install Node.js.")
    command = [npm, "pack", specifier, "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise PackageError(f"npm could not fetch {specifier}.", "Check the network and npm's registry.")
    return archives[0]


def _copy(archive: tarfile.TarFile, specifier: str, member: str, path: Path) -> None:
    # Most packages keep their files under package/, some under their own name.
    entry = next((e for e in archive.getmembers() if e.name.partition("/")[2] == member), None)
    source = archive.extractfile(entry) if entry else None
    if source is None:
        raise PackageError(f"{specifier} has no file {member}.")
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")  # other processes may fetch it too
    partial.write_bytes(source.read())
    partial.rename(path)
