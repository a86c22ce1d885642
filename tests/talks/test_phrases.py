"""A phrase is said in another language after it was kept, and what a stranger writes becomes no phrase."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.talks.phrases import MAX_DEPTH, MAX_FIELDS, MAX_WORDS, phrase_json, read_phrase
from app.texts import Phrase, listed


def kept(text: str) -> Phrase | None:
    return read_phrase(json.loads(json.dumps(phrase_json(text))))


@pytest.mark.parametrize(
    "phrase",
    [
        Phrase("message_empty"),
        Phrase("turn_too_long", tokens=12345, limit=4096),
        Phrase("file_large", megabytes=12.5, allowed=10.0),
        Phrase(
            "attachment", number=2, message=Phrase("image_large", size=Phrase("pixels", width=9, height=9), limit=1)
        ),
        Phrase("option_choice", name="mode", value="x", allowed=listed(["16x", "4x"], "list_or")),
    ],
    ids=lambda phrase: phrase.key,
)
def test_a_phrase_comes_back_in_both_languages(phrase: Phrase) -> None:
    back = kept(phrase)
    assert back == phrase and back is not None and back.to("zh") == phrase.to("zh") != phrase.to("en")


@pytest.mark.parametrize(
    "text",
    [
        "Words of another.",
        Phrase("talk_long", limit=float("inf")),
        Phrase("zip_lacks", file=Path("a.zip")),
        Phrase("said", message="a", hint=Phrase("zip_lacks", file=None)),
        Phrase("zip_lacks", file="a" * (MAX_WORDS + 1)),
        listed(["a"] * (MAX_DEPTH + 2), "list_comma"),
    ],
)
def test_what_would_not_come_back_is_not_kept(text: str) -> None:
    assert phrase_json(text) is None


def nested(depth: int) -> dict[str, Any]:
    inner: Any = "a"
    for _ in range(depth):
        inner = {"key": "said", "fields": {"message": inner, "hint": ""}}
    return inner


def test_phrases_may_stand_in_phrases_but_not_without_end() -> None:
    assert read_phrase(nested(MAX_DEPTH)) == "a" + " " * MAX_DEPTH
    assert read_phrase(nested(MAX_DEPTH + 1)) is None


@pytest.mark.parametrize(
    "data",
    [
        None,
        "message_empty",
        [],
        {},
        {"key": "message_empty"},
        {"key": ["message_empty"], "fields": {}},
        {"key": "no_such_key", "fields": {}},
        {"key": "__class__", "fields": {}},
        {"key": "message_empty", "fields": []},
        {"key": "message_empty", "fields": {str(number): "a" for number in range(MAX_FIELDS + 1)}},
        {"key": "zip_lacks", "fields": {}},
        {"key": "zip_lacks", "fields": {"file": None}},
        {"key": "zip_lacks", "fields": {"file": ["a"]}},
        {"key": "zip_lacks", "fields": {"file": {"key": "no_such_key", "fields": {}}}},
        {"key": "zip_lacks", "fields": {"file": "a" * (MAX_WORDS + 1)}},
        {"key": "said", "fields": {"message": "a" * MAX_WORDS, "hint": "a"}},
        {"key": "turn_too_long", "fields": {"tokens": "many", "limit": 1}},
        {"key": "turn_too_long", "fields": {"tokens": 10**400, "limit": 1}},
        {"key": "turn_too_long", "fields": {"tokens": float("nan"), "limit": 1}},
    ],
)
def test_what_is_no_phrase_is_none(data: Any) -> None:
    assert read_phrase(data) is None
