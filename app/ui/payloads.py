"""The one file that knows what the chat components send and take.

What comes from a browser is data of a stranger: only positions, text and files that Gradio has checked are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from app.errors import MediaError, RequestError
from app.messages import Image, Part, Text, Video
from app.placement import marked_text
from app.texts import Phrase
from app.ui.texts import Locale, say

Payload: TypeAlias = dict[str, Any]

THUMBNAIL_HEIGHT = 120  # px


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in the message box."""

    text: str = ""
    files: tuple[Path, ...] = ()


def read_draft(value: Mapping[str, Any] | None) -> Draft:
    """The text and the files of the message box; Gradio has checked that the files are uploads."""
    value = value or {}
    return Draft(value.get("text") or "", tuple(Path(str(file)) for file in value.get("files") or ()))


def draft_value(draft: Draft) -> Payload:
    """What puts a draft into the message box."""
    return {"text": draft.text, "files": [str(file) for file in draft.files]}


def message_index(data: Mapping[str, Any]) -> int:
    """Which message was clicked, by its position.

    Raises:
        RequestError: the browser sent something else.
    """
    try:
        return int(data["payload"][0]["index"])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as cause:
        raise RequestError(Phrase("click_unclear"), Phrase("do_reload")) from cause


def liked(data: Mapping[str, Any]) -> bool:
    """Whether a rated answer was liked.

    Raises:
        RequestError: the browser sent something else.
    """
    try:
        return bool(data["payload"][0]["liked"])
    except (KeyError, IndexError, TypeError) as cause:
        raise RequestError(Phrase("click_unclear"), Phrase("do_reload")) from cause


def prompt_key(data: Mapping[str, Any]) -> str:
    """Which of the prompts of an empty conversation was chosen.

    Raises:
        RequestError: the browser sent something else.
    """
    try:
        return str(data["payload"][0]["value"]["key"])
    except (KeyError, IndexError, TypeError) as cause:
        raise RequestError(Phrase("click_unclear"), Phrase("do_reload")) from cause


def rated(liked: bool) -> Payload:
    """What marks a message as liked or disliked."""
    return {"meta": {"feedback": "like" if liked else "dislike"}}


def edited_question(parts: Sequence[Part], texts: Sequence[str]) -> str:
    """The question with other texts, as a text with marks at the places of its attachments."""
    if not any(isinstance(part, Text) for part in parts):
        return "\n".join(texts)
    news = iter(texts)
    return marked_text([Text(next(news, "")) if isinstance(part, Text) else part for part in parts])


def plain(text: str) -> Payload:
    """Text shown as it is."""
    return {"type": "text", "content": text, "options": {"render_markdown": False}}


def markdown(text: str) -> Payload:
    """Model text that is shown as it was written, to be copied and edited."""
    return {"type": "text", "content": text}


def source(text: str) -> Payload:
    """Model text to be copied and edited, and never shown: a fold without a head, which renders only when opened."""
    options = {"title": '<span class="answer-source"></span>', "status": "done"}
    return {"type": "tool", "content": text, "options": options}


def folded(text: str, title: str, *, done: bool) -> Payload:
    """Escaped model text under a title that opens and closes it; closed once it is done."""
    options = {"title": title, "status": "done" if done else "pending"}
    return {"type": "tool", "content": text, "options": options, "copyable": False, "editable": False}


def remark(text: str) -> Payload:
    """What is shown in a bubble and neither copied nor edited."""
    return {"type": "text", "content": text, "copyable": False, "editable": False}


def question(parts: Sequence[Part], locale: Locale) -> list[Payload]:
    """A user's message: texts and thumbnails where the user put them, each thumbnail with its number."""
    contents: list[Payload] = []
    numbers = {"image": 0, "video": 0}
    for run in _runs(parts):
        if isinstance(run, str):
            contents.append(plain(run))
            continue
        names = [_number(part, numbers, locale) for part in run]
        contents.append(_thumbnails(run, names))
        contents.append(remark("  ".join(f"[{name}]" for name in names)))
    if not any(isinstance(part, Text) for part in parts):
        contents.append(plain(""))  # gives the edit button a box to open
    return contents


def _runs(parts: Sequence[Part]) -> list[str | list[Image | Video]]:
    """Texts, and the attachments that stand side by side."""
    runs: list[str | list[Image | Video]] = []
    for part in parts:
        if isinstance(part, Text):
            runs.append(part.text)
        elif runs and isinstance(runs[-1], list):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _number(part: Image | Video, numbers: dict[str, int], locale: Locale) -> str:
    kind = "video" if isinstance(part, Video) else "image"
    numbers[kind] += 1
    return say(f"{kind}_number", locale, number=numbers[kind])


def _thumbnails(run: Sequence[Image | Video], names: Sequence[str]) -> Payload:
    files = [_file(part, name) for part, name in zip(run, names, strict=True)]
    options = {
        "image_props": {"height": THUMBNAIL_HEIGHT, "style": {"width": "auto", "height": THUMBNAIL_HEIGHT}},
        "video_props": {"height": THUMBNAIL_HEIGHT * 2},
    }
    return {"type": "file", "content": files, "options": options, "copyable": False, "editable": False}


def _file(part: Image | Video, name: str) -> Payload:
    """A file under its number instead of its name; the extension tells the component what it is."""
    if not isinstance(part.source, Path):
        raise MediaError(Phrase("picture_in_memory"))
    suffix, kind = (".mp4", "video/mp4") if isinstance(part, Video) else (".png", "image/png")
    meta = {"_type": "gradio.FileData"}
    return {"path": str(part.source), "orig_name": name + suffix, "mime_type": kind, "meta": meta}
