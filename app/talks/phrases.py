"""A phrase as JSON, to be said in any language later; and the same read back from JSON that anyone may have written."""

from __future__ import annotations

from typing import Any

from app.errors import RequestError
from app.talks.checks import clean
from app.texts import TEXTS, Phrase
from app.texts.languages import LANGUAGES

MAX_DEPTH = 6  # phrases within phrases
MAX_FIELDS = 8  # of one phrase
MAX_NUMBER = 1e15
MAX_WORDS = 4000  # characters of a field, and of the whole


def phrase_json(text: str) -> dict[str, Any] | None:
    """Key and fields of a phrase; None of other words, and of a phrase that would not be read back."""
    if not isinstance(text, Phrase):
        return None
    form = _form(text)
    return form if read_phrase(form) is not None else None


def read_phrase(data: Any) -> Phrase | None:
    """The phrase of `phrase_json`; None if it is none that can be said in every language."""
    try:
        phrase = _phrase(data, MAX_DEPTH)
        said = [phrase.to(locale) for locale in LANGUAGES]
    except (RequestError, LookupError, TypeError, ValueError):  # what filling in raises is among them
        return None
    return phrase if max(map(len, said)) <= MAX_WORDS else None


def _form(phrase: Phrase) -> dict[str, Any]:
    fields = {name: _form(value) if isinstance(value, Phrase) else value for name, value in phrase.fields.items()}
    return {"key": phrase.key, "fields": fields}


def _phrase(data: Any, depth: int) -> Phrase:
    """Raises if it is none; see `read_phrase`."""
    key, fields = data["key"], data["fields"]
    if not depth or not isinstance(fields, dict) or len(fields) > MAX_FIELDS or key not in TEXTS:
        raise ValueError
    return Phrase(key, **{name: _field(value, depth - 1) for name, value in fields.items()})


def _field(value: Any, depth: int) -> Phrase | str | float:
    if isinstance(value, dict):
        return _phrase(value, depth)
    if isinstance(value, (int, float)):
        if abs(value) <= MAX_NUMBER:
            return value
        raise ValueError
    return clean(value, MAX_WORDS)
