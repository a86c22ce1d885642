"""What was learned of the time to the first token, from one start to the next: a small file that may always be missing.

It holds counts and seconds alone, by model, device and dtype.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from app.pace import REMEMBERED, Observed

log = logging.getLogger(__name__)

MOST_KEYS = 32
MOST_BYTES = 1024**2  # more than it ever writes


def cache_folder() -> Path:
    """Where this application keeps what it can make anew."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "minicpm-v-web-demo"


class PaceFile:
    """The answers that were observed with one model, device and dtype, in a file with those of others.

    Args:
        key: what tells them apart.
        path: of the file; made, with its folder, by the first `write`.
    """

    def __init__(self, key: str, path: Path | None = None) -> None:
        self._key, self._path = key, path or cache_folder() / "pace.json"

    def read(self) -> list[Observed]:
        """The answers, oldest first; none where there is no such file or nothing that can be read in it."""
        return [row for row in map(_observed, self._all().get(self._key, [])[-REMEMBERED:]) if row]

    def write(self, observed: Sequence[Observed]) -> None:
        """Put these in the place of what there was; where that cannot be written, nothing changes."""
        rows = self._all()
        rows.pop(self._key, None)
        rows[self._key] = [[row.tokens, row.slices, round(row.seconds, 4)] for row in observed[-REMEMBERED:]]
        kept = dict(list(rows.items())[-MOST_KEYS:])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=self._path.parent, prefix=self._path.name, delete=False) as file:
                try:
                    json.dump(kept, file)
                    file.close()
                    os.replace(file.name, self._path)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError as error:
            log.info("The pace of answers could not be kept (%s).", type(error).__name__)

    def _all(self) -> dict[str, list[Any]]:
        with suppress(OSError, ValueError, RecursionError):
            if self._path.stat().st_size <= MOST_BYTES:
                found = json.loads(self._path.read_text("utf-8"))
                if isinstance(found, dict):
                    return {key: rows for key, rows in found.items() if isinstance(rows, list)}
        return {}


def _observed(row: Any) -> Observed | None:
    """A row of the file; None if it is none."""
    match row:
        case [int(tokens), int(slices), int(seconds) | float(seconds)]:
            if min(row) >= 0 and isfinite(seconds):
                return Observed(tokens, slices, float(seconds))
    return None
