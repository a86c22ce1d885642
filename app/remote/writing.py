"""Messages as the protocol has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from app.messages import Image, Message, Progress, Text, Video
from app.remote.media import Cancel, MediaWriter, check_total, stop_if
from app.remote.profiles import Profile

Item: TypeAlias = dict[str, Any]


class MessageWriter:
    """Writes one request's messages for one engine.

    Args:
        media: writes the pictures.
        max_frames: frames of a video at most, where the video does not say.
        on_progress: called with how far it is.
        cancelled: asked before each part; True ends the work.
    """

    def __init__(
        self,
        profile: Profile,
        media: MediaWriter,
        max_frames: int,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        cancelled: Cancel = lambda: False,
    ) -> None:
        self._profile = profile
        self._media = media
        self._max_frames = max_frames
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._bytes = self._images = self._images_done = 0

    def write(self, messages: Sequence[Message], system_prompt: str = "") -> list[Item]:
        """The messages, the system's first if there is one.

        Raises:
            MediaError: a file cannot be used.
            RequestError: the media are too many, or the engine cannot take them.
            app.media.clip.Cancelled: `cancelled` said so.
        """
        self._images = sum(isinstance(part, Image) for message in messages for part in message.content)
        system = [{"role": "system", "content": system_prompt}] if system_prompt.strip() else []
        return [*system, *({"role": message.role, "content": self._content(message)} for message in messages)]

    def _content(self, message: Message) -> str | list[Item]:
        if all(isinstance(part, Text) for part in message.content):
            return message.text
        items = [item for part in message.content for item in self._items(part)]
        return _separated(items, self._profile.separator) if self._profile.separator else items

    def _items(self, part: Text | Image | Video) -> list[Item]:
        stop_if(self._cancelled)
        if isinstance(part, Text):
            return [_text(part.text)]
        if isinstance(part, Image):
            self._on_progress(Progress("encode_images", self._images_done, self._images))
            items = [_medium("image_url", self._media.image(part))]
            self._images_done += 1
        else:
            items = self._video(part)
        self._bytes += sum(len(item[item["type"]]["url"]) for item in items)
        check_total(self._bytes)
        return items

    def _video(self, video: Video) -> list[Item]:
        most = video.max_frames or self._max_frames
        if self._profile.video == "frames":
            return [
                _medium("image_url", url) for url in self._media.frames(video, most, self._cancelled, self._on_frame)
            ]
        limit = self._profile.max_frames
        return [_medium("video_url", self._media.video(video, most, limit, self._cancelled, self._on_frame))]

    def _on_frame(self, done: int, total: int) -> None:
        self._on_progress(Progress("decode_video", done, total))


def _separated(items: Sequence[Item], separator: str) -> list[Item]:
    """The items with a text between every two of them; neighbouring texts become one."""
    separated: list[Item] = []
    for at, item in enumerate(items):
        for each in (_text(separator), item) if at else (item,):
            if separated and each["type"] == "text" and separated[-1]["type"] == "text":
                separated[-1] = _text(separated[-1]["text"] + each["text"])
            else:
                separated.append(each)
    return separated


def _text(text: str) -> Item:
    return {"type": "text", "text": text}


def _medium(kind: str, url: str) -> Item:
    return {"type": kind, kind: {"url": url}}
