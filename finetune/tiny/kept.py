"""The answers that an evaluation has got so far, in a file, so that one that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


class Kept:
    """Questions with their answers and scores, by skill and generator.

    Args:
        path: the file; if it holds an evaluation by the same settings, this one goes on from it. None keeps nothing.
        settings: what decides the answers: the weights, the decoding, the questions.

    Attributes:
        seconds: that all of them took.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, dict(settings)
        self._rows: dict[str, list[Row]] = {}
        self.seconds = 0.0
        found = json.loads(path.read_text("utf-8")) if path and path.is_file() else {}
        if found.get("settings") == self._settings:
            self._rows, self.seconds = found["rows"], found["seconds"]

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, skill: str, source: str) -> list[Row] | None:
        """What a generator asked of a skill, if it came to the end."""
        return self._rows.get(f"{skill} {source}")

    def add(self, skill: str, source: str, rows: Sequence[Row], seconds: float) -> None:
        """Keep what a generator asked of a skill, and how long that took."""
        self._rows[f"{skill} {source}"] = list(rows)
        self.seconds += seconds
        if self._path:
            whole = {"settings": self._settings, "seconds": self.seconds, "rows": self._rows}
            replace_text(self._path, json.dumps(whole, ensure_ascii=False))

    def forget(self) -> None:
        """Take the file away: the evaluation is complete."""
        if self._path:
            self._path.unlink(missing_ok=True)


def fingerprint(folder: Path) -> str:
    """SHA-256 of a checkpoint's weights."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a stop in the middle leaves the last one whole."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
