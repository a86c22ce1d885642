"""The log probabilities that an engine tells, as a stranger's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.messages import Candidate, TokenLogprob


def read_logprobs(told: Any) -> tuple[TokenLogprob, ...]:
    """The entries under `logprobs` of a choice; what has no text or no number is left out."""
    entries = []
    for item in _items(told, "content"):
        chosen = _candidate(item)
        if chosen is not None:
            top = [candidate for one in _items(item, "top_logprobs") if (candidate := _candidate(one)) is not None]
            entries.append(TokenLogprob(chosen, tuple(top)))
    return tuple(entries)


def few(entries: Sequence[TokenLogprob], most: int | None) -> tuple[TokenLogprob, ...]:
    """The entries with so many alternatives at most; none of them for None: nobody asked."""
    return () if most is None else tuple(replace(entry, top=entry.top[:most]) for entry in entries)


def _items(told: Any, name: str) -> list[Any]:
    found = getattr(told, name, None)
    return found if isinstance(found, list) else []


def _candidate(told: Any) -> Candidate | None:
    values: list[Any] = [getattr(told, name, None) for name in ("token", "logprob", "bytes")]
    token, logprob, data = values
    if not isinstance(token, str) or type(logprob) not in (int, float):
        return None
    known = isinstance(data, list) and all(type(byte) is int and 0 <= byte < 256 for byte in data)
    return Candidate(token, float(logprob), bytes(data) if known else None)
