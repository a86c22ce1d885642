"""One entry of a data file to messages: the forms there are, and where their pictures go.

    {"image": path | {"<image_00>": path, ...}, "conversations": [{"role": "user", "content": "<image>\\n..."}, ...]}
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": ...}}, ...]}, ...]}

`conversations` and `messages` mean the same, and so do "from", "human" and "gpt" of older data, and "system" beside
them is a system message in front. Pictures stand beside
the messages ("image", "images", "video", "videos") and are placed by marks in the user's texts, or stand in the
content. Whatever an assistant says is text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from app.messages import Image, Message, Part, Role, Text, Video
from app.placement import add_text
from finetune.errors import Kind, SampleError

ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "system": "system",
}
MARK = re.compile(r"<(?:image|video)(?:_\d+)?>")
# What the path of a medium may be called in an object around it.
MEDIUM = ("video", "video_url", "image", "image_url", "url", "path")
FORM = 'An entry is {"image": path, "conversations": [{"role": "user", "content": "<image>\\n..."}, ...]}.'


@dataclass(frozen=True, slots=True)
class InlineImage(Image):
    """A picture that the data file itself holds.

    Attributes:
        source: the bytes of its file.
    """

    source: bytes  # type: ignore[assignment]


def parse_entry(entry: Any, root: Path, line: int) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The messages of an entry, and notes on what its author should know.

    Args:
        root: the folder that relative paths start from.
        line: of the entry, for errors.

    Raises:
        SampleError: of another form, roles out of order, an empty answer, a mark without a picture.
    """
    if not isinstance(entry, dict):
        raise SampleError(line, "form", f"The entry is of type {type(entry).__name__}, not an object.", FORM)
    reader = _EntryReader(entry, root, line)
    messages = reader.messages()
    return messages, reader.notes()


class _EntryReader:
    """Reads one entry.

    Attributes:
        named: media by their own mark (`<image_00>`). queued: media that the marks `<image>` and `<video>` take in
            order. used: marks that were placed.
    """

    def __init__(self, entry: dict[str, Any], root: Path, line: int) -> None:
        self.root = root
        self.line = line
        self.turns = self._turns(entry)
        self.named: dict[str, Part] = {}
        self.queued: dict[str, list[Part]] = {"<image>": [], "<video>": []}
        self.literal_marks = 0
        for name in ("image", "images", "video", "videos"):
            self._collect(name.removesuffix("s"), entry.get(name))
        self.beside = bool(self.named or any(self.queued.values()))
        self.strict = self.beside or "conversations" in entry
        self.used: set[str] = set()

    def fault(self, kind: Kind, message: str, hint: str = "") -> SampleError:
        """An error of this entry."""
        return SampleError(self.line, kind, message, hint)

    def messages(self) -> tuple[Message, ...]:
        """The entry's messages, checked."""
        marked = any(self._marks(turn) for turn in self.turns)
        front = [] if marked else self._all_beside()
        messages = []
        for number, turn in enumerate(self.turns, 1):
            role = self._role(turn, number)
            content = self._content(turn.get("content", turn.get("value")), role, number)
            if role == "user" and front:
                content, front = [*front, *content], []
            messages.append(Message(role, tuple(content)))
        self._check_order(messages)
        return tuple(messages)

    def notes(self) -> tuple[str, ...]:
        """What is not used, and what looks like a mark but is text."""
        idle = sum(mark not in self.used for mark in self.named) + sum(map(len, self.queued.values()))
        notes = [f"{idle} of its pictures or videos have no mark in the text and are not used."] if idle else []
        if self.literal_marks:
            notes.append(f"{self.literal_marks} marks in the text have no picture and are read as text.")
        return tuple(notes)

    def _turns(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        turns = entry.get("conversations", entry.get("messages"))
        if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
            raise self.fault("form", 'The entry has no list of messages in "conversations" or "messages".', FORM)
        system = entry.get("system")
        if not system:
            return turns
        if not isinstance(system, str):
            raise self.fault("form", f'The entry has a "system" of type {type(system).__name__}, not a text.', FORM)
        return [{"role": "system", "content": system}, *turns]

    def _collect(self, kind: str, value: Any) -> None:
        """Media that stand beside the messages."""
        if isinstance(value, dict) and not value.keys() & set(MEDIUM):
            for mark, one in value.items():
                self.named[mark if mark.startswith("<") else f"<{mark}>"] = self._media(kind, one)
        elif value:
            for one in value if isinstance(value, list) else [value]:
                part = self._media(kind, one)
                self.queued["<video>" if isinstance(part, Video) else f"<{kind}>"].append(part)

    def _all_beside(self) -> list[Part]:
        """Every medium beside the messages, which goes in front where the texts have no mark."""
        front = [*self.named.values(), *self.queued["<image>"], *self.queued["<video>"]]
        self.used |= self.named.keys()
        for queue in self.queued.values():
            queue.clear()
        return front

    def _marks(self, turn: Mapping[str, Any]) -> list[str]:
        """The places for media beside the messages in a message of the user's."""
        content = turn.get("content", turn.get("value"))
        if ROLES.get(str(turn.get("role", turn.get("from")))) != "user":
            return []
        if not isinstance(content, list):
            return [mark for mark in self._pattern().findall(str(content)) if self.strict]
        texts = [_text_of(part) or "" for part in content if self.beside]
        marks = [mark for text in texts for mark in self._pattern().findall(text)]
        return marks + [str(part) for part in content if isinstance(part, dict) and _is_place(part)]

    def _pattern(self) -> re.Pattern[str]:
        own = sorted(map(re.escape, self.named), key=len, reverse=True)
        return re.compile("|".join([*own, MARK.pattern]))

    def _role(self, turn: Mapping[str, Any], number: int) -> Role:
        given = turn.get("role", turn.get("from"))
        if not isinstance(given, str) or given not in ROLES:
            raise self.fault(
                "roles", f"Message {number} has the role {given!r}; allowed are user, assistant and system."
            )
        return ROLES[given]

    def _content(self, content: Any, role: Role, number: int) -> list[Part]:
        if isinstance(content, str):
            return self._placed(content) if role == "user" else [Text(content)]
        if content is None:
            return []
        if not isinstance(content, list):
            raise self.fault("form", f"Message {number} has a content of type {type(content).__name__}.", FORM)
        parts = [made for part in content for made in self._parts(part, role, number)]
        if role != "user" and not all(isinstance(part, Text) for part in parts):
            raise self.fault("form", f"Message {number} is the {role}'s and has a picture; only the user's may.")
        return parts

    def _parts(self, part: Any, role: Role, number: int) -> list[Part]:
        """One part of a content that is a list; a text of the user's may have marks of what stands beside."""
        text = _text_of(part)
        if text is None:
            return [self._medium(part, number)]
        if role == "user" and self.beside:
            return self._placed(text)
        self.literal_marks += len(MARK.findall(text)) if role == "user" else 0
        return [Text(text)]

    def _medium(self, part: Any, number: int) -> Part:
        if not isinstance(part, dict):
            raise self.fault("form", f"Message {number} has a part of type {type(part).__name__}.", FORM)
        kind = str(part.get("type", next((name for name in ("image", "video") if name in part), ""))).split("_")[0]
        if kind not in ("image", "video"):
            raise self.fault("form", f"Message {number} has a part of the type {part.get('type')!r}; allowed are text, "
                             "image, image_url, video and video_url.")  # fmt: skip
        return self._take(f"<{kind}>") if _is_place(part) else self._media(kind, part)

    def _placed(self, text: str) -> list[Part]:
        """A text of the user's with media at its marks; one space or newline beside each is dropped."""
        if not self.strict:
            self.literal_marks += len(MARK.findall(text))
            return [Text(text)]
        parts: list[Part] = []
        start = 0
        for mark in self._pattern().finditer(text):
            add_text(parts, text[start : mark.start()], after=bool(parts), before=True)
            parts.append(self._take(mark[0]))
            start = mark.end()
        add_text(parts, text[start:], after=bool(parts), before=False)
        return parts

    def _take(self, mark: str) -> Part:
        """The picture or video of a mark; one with a name of its own may stand in several places."""
        if mark in self.named:
            self.used.add(mark)
            return self.named[mark]
        if not self.queued.get(mark):
            raise self.fault("marks", f"The text has a mark {mark} for which there is no picture or video.",
                             "Name its file, or take the mark out.")  # fmt: skip
        return self.queued[mark].pop(0)

    def _media(self, kind: str, value: Any) -> Image | Video:
        """A picture or video from a path, a data URL or an object around one."""
        frames = None
        while isinstance(value, dict):
            kind = "video" if "video" in value or "video_url" in value else kind
            frames = value.get("max_frames", frames)
            value = next((value[key] for key in MEDIUM if key in value), None)
        if not isinstance(value, str) or not value:
            raise self.fault("form", f"A {kind} has no path.", FORM)
        if frames is not None and (not isinstance(frames, int) or frames < 1):
            raise self.fault("form", f"A video has max_frames {frames!r}; it must be a whole number from 1.")
        if value.startswith("data:"):
            return InlineImage(self._bytes(kind, value))
        return Video(self._path(kind, value), frames) if kind == "video" else Image(self._path(kind, value))

    def _path(self, kind: str, value: str) -> Path:
        scheme = urlsplit(value).scheme if "://" in value else ""
        if scheme == "file":
            return Path(unquote(urlsplit(value).path))
        if scheme:
            raise self.fault("media", f"A {kind} is a {scheme} address; only files are read.", "Download it first.")
        return self.root / value

    def _bytes(self, kind: str, value: str) -> bytes:
        head, _, data = value.partition(",")
        if kind == "video" or not head.endswith(";base64"):
            raise self.fault("media", f"A {kind} is a data URL of another form than data:image/...;base64,...",
                             "Give the path of a file.")  # fmt: skip
        try:
            return base64.b64decode(data, validate=True)
        except ValueError:
            raise self.fault("media", "A picture's data URL is not base64.") from None

    def _check_order(self, messages: Sequence[Message]) -> None:
        turns = messages[1:] if messages[0].role == "system" else messages
        first = len(messages) - len(turns) + 1
        for index, message in enumerate(turns):
            wanted = ("user", "assistant")[index % 2]
            if message.role != wanted:
                raise self.fault("roles", f"Message {first + index} is the {message.role}'s; the {wanted}'s is due.",
                                 "After a system message, if any, user and assistant take turns.")  # fmt: skip
            if wanted == "assistant" and not message.text.strip():
                raise self.fault("empty", f"Message {first + index}, an answer, is empty.")
            if wanted == "user" and not any(not isinstance(p, Text) or p.text.strip() for p in message.content):
                raise self.fault("empty", f"Message {first + index}, a question, is empty.")
        if len(turns) < 2 or turns[-1].role != "assistant":
            raise self.fault("roles", "The conversation does not end with an answer.", "The last message must be one.")


def _text_of(part: Any) -> str | None:
    """The text of a part of a content, None if it is another one."""
    text = part.get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else None


def _is_place(part: Mapping[str, Any]) -> bool:
    """Whether a part is the place of a picture or video that stands beside the messages."""
    return part.get("type") in ("image", "video") and not part.keys() & set(MEDIUM)
