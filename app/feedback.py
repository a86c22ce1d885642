"""What users think of answers, kept in a file of this machine: one line of JSON per rating.

All lines of an answer that was rated on one page have the same `id`; the last `liked` holds, and null takes it back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from app.errors import SettingsError
from app.texts import Phrase


@dataclass(frozen=True, slots=True)
class Rating:
    """What a user thinks of an answer.

    Attributes:
        id: of the lines in the file.
        liked: None once it was taken back.
    """

    id: str
    liked: bool | None


class FeedbackFile:
    """Appends to a file; from any thread.

    Raises:
        SettingsError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self.add({}, empty=True)

    def add(self, record: Mapping[str, Any], *, empty: bool = False) -> None:
        """Append a record as a line; `empty` appends nothing and only finds out whether that is possible."""
        line = "" if empty else json.dumps(record, ensure_ascii=False) + "\n"
        try:
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as cause:
            raise SettingsError(
                Phrase("feedback_unwritten", strerror=cause.strerror), Phrase("do_other_name")
            ) from cause
