"""What an evaluation keeps is taken up again by the same model and settings alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune.tiny.kept import Kept, fingerprint, replace_text


def test_what_was_kept_is_there_again_by_the_same_settings(tmp_path: Path) -> None:
    path, rows = tmp_path / "kept", [{"group": "a", "score": 1.0}]
    first = Kept(path, {"seed": 1})
    first.add("colour", "seen", rows, 2.5)
    first.add("colour", "drawer2", [], 1.5)
    same, other = Kept(path, {"seed": 1}), Kept(path, {"seed": 2})
    assert (same.get("colour", "seen"), same.get("colour", "drawer2"), same.get("shape", "seen")) == (rows, [], None)
    assert same.seconds == 4 and len(same) == 2
    assert other.get("colour", "seen") is None and other.seconds == len(other) == 0
    same.forget()
    assert not path.exists()


def test_nothing_is_kept_without_a_file(tmp_path: Path) -> None:
    kept = Kept(None, {})
    kept.add("colour", "seen", [], 1)
    kept.forget()
    assert kept.get("colour", "seen") == [] and not list(tmp_path.iterdir())


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    (tmp_path / "config.json").write_text("{}")
    first = fingerprint(tmp_path)
    (tmp_path / "config.json").write_text("{ }")
    assert fingerprint(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert fingerprint(tmp_path) != first


def test_a_stop_while_writing_leaves_the_last_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace_text(path, "first")

    def broken(part: Path, text: str, encoding: str) -> None:
        part.write_bytes(b"sec")
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", broken)
    with pytest.raises(KeyboardInterrupt):
        replace_text(path, "second")
    assert path.read_bytes() == b"first"
