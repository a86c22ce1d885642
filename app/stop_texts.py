"""Texts at which an answer ends, found while it is written."""

from __future__ import annotations

from collections.abc import Sequence


class StopTexts:
    """Lets an answer through up to the first stop text, which is left out.

    What may be the beginning of one is held back until it is certain.

    Args:
        texts: none of them empty.

    Attributes:
        found: one came; nothing is let through any more.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Take what is new of the answer; returns what may be shown."""
        if self.found or not self._texts:
            return "" if self.found else text
        text = self._held + text
        at = min((start for stop in self._texts if (start := text.find(stop)) >= 0), default=-1)
        self.found = at >= 0
        cut = at if self.found else len(text) - self._open(text)
        self._held = "" if self.found else text[cut:]
        return text[:cut]

    def finish(self) -> str:
        """What was held back, once nothing follows."""
        text, self._held = self._held, ""
        return text

    def _open(self, text: str) -> int:
        """Characters at the end of a text that begin a stop text."""
        longest = min(len(text), max(map(len, self._texts)) - 1)
        return next(
            (size for size in range(longest, 0, -1) if any(stop.startswith(text[-size:]) for stop in self._texts)), 0
        )
