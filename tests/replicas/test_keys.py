from __future__ import annotations

import json
from typing import Any

import pytest

from app.replicas.keys import conversation_key

SYSTEM = {"role": "system", "content": "Be brief."}
ANSWER = {"role": "assistant", "content": "A cat."}
NEXT = {"role": "user", "content": "And its colour?"}


def question(url: str = "data:image/png;base64,AAAA", text: str = "What is it?") -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {"role": "user", "content": parts}


def key(*messages: Any, **fields: Any) -> str:
    return conversation_key(json.dumps({"model": "m", "messages": messages} | fields).encode())


def test_every_turn_of_a_conversation_has_the_same_key() -> None:
    first = key(SYSTEM, question())
    assert len(first) == 64
    assert key(SYSTEM, question(), ANSWER, NEXT) == first
    assert key(SYSTEM, question(), ANSWER, NEXT, ANSWER, NEXT, stream=True, temperature=0) == first


@pytest.mark.parametrize(
    "other",
    [
        key(SYSTEM, question(text="What is that?")),
        key(SYSTEM, question(url="data:image/png;base64,AAAB")),
        key(question()),
        key({"role": "system", "content": "Be long."}, question()),
        key(SYSTEM, question(), model="adapter"),
        key(SYSTEM, question(), prompt_cache_key="mine"),
    ],
)
def test_another_beginning_is_another_conversation(other: str) -> None:
    assert len(other) == 64 and other != key(SYSTEM, question())


def test_the_clients_own_key_counts_instead_of_the_messages() -> None:
    assert key(question(), prompt_cache_key="mine") == key(NEXT, prompt_cache_key="mine")
    assert key(question(), prompt_cache_key="mine") != key(question(), prompt_cache_key="yours")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b'{"messages": 3}', b'{"messages": [3]}', b"{}"])
def test_what_cannot_be_read_has_no_key(body: bytes) -> None:
    assert conversation_key(body) == ""


def test_half_a_character_is_no_error() -> None:
    assert conversation_key(b'{"messages": [{"role": "user", "content": "\\ud800"}]}')


def test_what_no_json_reader_can_take_has_none() -> None:
    deep = 100_000
    assert conversation_key(b'{"messages": ' + b"[" * deep + b"]" * deep + b"}") == ""
