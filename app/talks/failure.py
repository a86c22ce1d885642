"""What went wrong with a turn and what to try, as JSON; and both read back from JSON that anyone may have written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard, get_args

from app.errors import AppError, ContextLengthError, GenerationError, OutOfMemoryError
from app.meter import Fix, FixKind
from app.talks.checks import clean
from app.talks.phrases import MAX_WORDS, phrase_json, read_phrase

MAX_FIX = 4096  # slices, frames or turns
MAX_TOKENS = 10**12


def error_json(error: AppError) -> dict[str, Any]:
    """The words, in English and as phrases, and the kind where the page offers more for it than for others."""
    words = {"message": error.message, "hint": error.hint}
    form: dict[str, Any] = {name: str(text) for name, text in words.items()}
    if phrases := {name: phrase for name, text in words.items() if (phrase := phrase_json(text))}:
        form["phrases"] = phrases
    if isinstance(error, ContextLengthError):
        form |= {"kind": "context_length", "tokens": error.tokens, "limit": error.limit}
    elif isinstance(error, OutOfMemoryError):
        form["kind"] = "out_of_memory"
    return form


def read_error(data: Any) -> AppError | None:
    """The error of `error_json`, in words of the table where they are known; of no known kind: the model failed.

    Raises:
        RequestError: its words are no text, or too long.
    """
    if not isinstance(data, dict):
        return None
    message, hint = (_said(data, name) for name in ("message", "hint"))
    tokens, limit = data.get("tokens"), data.get("limit")
    if data.get("kind") == "context_length" and _is_count(tokens, MAX_TOKENS) and _is_count(limit, MAX_TOKENS):
        return ContextLengthError(tokens, limit)
    return (OutOfMemoryError if data.get("kind") == "out_of_memory" else GenerationError)(message, hint)


def fixes_json(fixes: Sequence[Fix]) -> list[dict[str, Any]]:
    """What to try."""
    return [{"kind": fix.kind, "value": fix.value} for fix in fixes]


def read_fixes(data: Any) -> tuple[Fix, ...]:
    """What of `fixes_json` can be tried."""
    items = data[: len(get_args(FixKind))] if isinstance(data, list) else []
    fixes = [read_fix(item.get("kind"), item.get("value")) for item in items if isinstance(item, dict)]
    return tuple(fix for fix in fixes if fix)


def read_fix(kind: Any, value: Any) -> Fix | None:
    """Something to try; None if it is nothing of the sort, or out of range."""
    if kind not in get_args(FixKind) or not _is_count(value, MAX_FIX):
        return None
    return Fix(kind, value)


def _said(data: dict[str, Any], name: str) -> str:
    phrases = data.get("phrases")
    phrase = read_phrase(phrases.get(name)) if isinstance(phrases, dict) else None
    text = clean(data.get(name, ""), MAX_WORDS)
    return text if phrase is None else phrase


def _is_count(value: Any, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
