"""Files of a process that is killed do not stay."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.replicas import replica
from app.replicas.scratch import PREFIX, Scratch
from app.settings import Settings

ROOT = Path(__file__).parents[2]
HOLDER = (
    "import sys\nfrom app.replicas.scratch import Scratch\n"
    "scratch = Scratch()\n(scratch.path / 'media').write_text('x')\n"
    "print(scratch.path, flush=True)\nsys.stdin.read()"
)
pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="no locks on folders there")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def started() -> tuple[subprocess.Popen[str], Path]:
    """A process with a folder."""
    command = [sys.executable, "-c", HOLDER]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_the_folder_of_a_process_that_was_killed_is_removed_and_no_other(place: Path) -> None:
    (killed, left), (running, used) = started(), started()
    (place / "minicpm-v-media-x").mkdir()
    try:
        killed.kill()
        killed.wait()
        assert left.is_dir() and used.is_dir()
        mine = Scratch()
        assert not left.exists() and (used / "media").exists() and (place / "minicpm-v-media-x").is_dir()
        Scratch().close()
        assert mine.path.is_dir()
        mine.close()
        assert not mine.path.exists()
    finally:
        running.kill()
        running.wait()


def test_folders_of_others_stay(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = place / f"{PREFIX}theirs"
    theirs.mkdir()
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (place / f"{PREFIX}link").symlink_to(elsewhere)
    me = os.getuid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: me + 1)
        Scratch().close()
    assert theirs.is_dir()
    Scratch().close()
    assert not theirs.exists() and elsewhere.is_dir()


def test_a_replica_keeps_its_media_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica.serve, "get_replica_context", lambda: SimpleNamespace(replica_tag="a1"))
    one = replica.ModelReplica(Settings(model="m", backend="echo", api_only=True))
    (folder,) = place.iterdir()
    assert folder.name.startswith(PREFIX) and [path.name[:16] for path in folder.iterdir()] == ["minicpm-v-media-"]
    assert tempfile.gettempdir() == str(place)
    one.__del__()
    assert not list(place.iterdir())
