"""What every text of a conversation that anyone may have written goes through."""

from __future__ import annotations

from typing import Any

from app.errors import RequestError
from app.texts import Phrase

MAX_TEXT = 2_000_000  # characters of one text


def clean(text: Any, limit: int = MAX_TEXT) -> str:
    """A text that can be written as UTF-8.

    Raises:
        RequestError: no text, or one too long.
    """
    if not isinstance(text, str) or len(text) > limit:
        raise refused(Phrase("talk_long", limit=limit))
    return text.encode("utf-8", "replace").decode("utf-8")


def refused(why: str) -> RequestError:
    """The error of a conversation that cannot be taken."""
    return RequestError(Phrase("talk_wrong", why=why), Phrase("do_not_changed"))
