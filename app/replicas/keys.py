"""What tells one conversation from another: how it begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any


def conversation_key(body: bytes) -> str:
    """The same for every turn of a conversation, another for another one; empty where a body tells nothing.

    It is made of what stays as turns are added, and what a cache begins with: the model, all up to the first message of
    the user, and the pictures in it. A `prompt_cache_key` that the client gives counts instead of the messages.

    Args:
        body: of a request, in JSON.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):  # the model's server says what is wrong with it
        return ""
    if not isinstance(asked, dict):
        return ""
    given = asked.get("prompt_cache_key")
    beginning: Any = given if isinstance(given, str) and given else list(_beginning(asked.get("messages")))
    if not beginning:
        return ""
    told = json.dumps([asked.get("model"), beginning], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def _beginning(messages: Any) -> Iterator[Any]:
    """The messages up to the user's first."""
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict):
            return
        yield [message.get("role"), message.get("content")]
        if message.get("role") == "user":
            return
