"""A conversation as the messages of the chat-completions protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from app.messages import Part, Text, Video
from app.talks.files import file_of
from app.talks.form import Json
from app.turn import Turn


def completion_messages(turns: Sequence[Turn], url: Callable[[Path], str]) -> list[Json]:
    """What the model sees of the turns, the system's message first.

    Args:
        url: what stands for a file.
    """
    system = next((turn.params.system_prompt for turn in reversed(turns) if turn.params), "").strip()
    messages: list[Json] = [{"role": "system", "content": system}] if system else []
    for message in (message for turn in turns for message in turn.messages()):
        if all(isinstance(part, Text) for part in message.content):
            messages.append({"role": message.role, "content": message.text})
        else:
            messages.append({"role": message.role, "content": [_part(part, url) for part in message.content]})
    return messages


def _part(part: Part, url: Callable[[Path], str]) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = "video_url" if isinstance(part, Video) else "image_url"
    path = file_of(part)
    return {"type": kind, kind: {"url": url(path) if path else ""}}
