"""What a stream sends before its answer: signs of life, how far the work is, and empty beginnings."""

from __future__ import annotations

import json
from typing import Any

END = b"\n\n"  # of an event


class Prelude:
    """Lets the events of a stream through and notices where the answer begins.

    Comments and progress pass at once. An empty beginning, which says whose turn it is, waits for the answer itself:
    if that comes from another replica in the end, it has one beginning all the same.

    Attributes:
        over: some of the answer has passed; from then on everything does.
    """

    def __init__(self) -> None:
        self.over = False
        self._waiting = b""
        self._part = b""

    def passed(self, piece: bytes) -> bytes:
        """What may be sent of the stream once this piece of it is there."""
        if self.over:
            return piece
        *events, self._part = (self._part + piece).split(END)
        passed = b""
        for number, event in enumerate(events):
            choices = _choices(event)
            if choices is None or any(map(_says_something, choices)):
                self.over = True
                return passed + self._waiting + END.join([*events[number:], self._part])
            if choices:
                self._waiting += event + END
            else:
                passed += event + END
        return passed

    def rest(self) -> bytes:
        """What still waits where the stream ends."""
        return b"" if self.over else self._waiting + self._part


def _choices(event: bytes) -> list[Any] | None:
    """Those of an event, none of a comment or progress; None where it is of another kind."""
    if event.startswith(b":"):
        return []
    try:
        told = json.loads(event.removeprefix(b"data: "))
    except ValueError:
        return None
    if not isinstance(told, dict) or not (told.get("choices") or told.get("progress")):
        return None  # an error, or the usage
    return list(told.get("choices") or [])


def _says_something(choice: Any) -> bool:
    told = {**choice, **(choice.get("delta") or {})}
    return any(told.get(name) for name in ("content", "reasoning_content", "logprobs", "finish_reason"))
