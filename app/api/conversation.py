"""A request's messages as the conversation that backends take."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

from app.api.errors import ApiError
from app.api.schema import AssistantMessage, ChatMessage, ImagePart, SystemMessage, TextPart, UserMessage, VideoPart
from app.backends.base import Capabilities
from app.errors import MediaError
from app.messages import Image, Message, Part, Text, Video
from app.sampling import SamplingParams
from app.turn import Turn, check_capabilities, check_not_empty


class MediaSource(Protocol):
    """Where pictures and videos come from."""

    def image(self, url: str) -> Image:
        """The picture at a URL."""
        ...

    def video(self, url: str) -> Video:
        """The video at a URL."""
        ...


def system_prompt(messages: Sequence[ChatMessage]) -> str:
    """The texts of the leading system messages, one per line."""
    return "\n".join(_text(message.content) for message in messages if isinstance(message, SystemMessage))


def read_conversation(messages: Sequence[ChatMessage], media: MediaSource) -> tuple[Message, ...]:
    """The turns behind the system messages; what one speaker says in several messages becomes one turn.

    Raises:
        AppError: the order is none that a model can answer, a message is empty, or a medium cannot be had; says in
            which message, counted from 0.
    """
    _check_order(messages)
    turns: list[Message] = []
    spoken = [
        (at, message) for at, message in enumerate(messages) if isinstance(message, (UserMessage, AssistantMessage))
    ]
    for role, some in groupby(spoken, lambda pair: pair[1].role):
        parts = [part for at, message in some for part in _parts(at, message, media)]
        turns.append(Message(role, tuple(_joined(parts))))
    check_not_empty(turns[-1])
    return tuple(turns)


def check_fits(turns: Sequence[Message], params: SamplingParams, capabilities: Capabilities) -> None:
    """Raise a `RequestError` if the model cannot take these turns with these options."""
    check_capabilities([Turn(turn) for turn in turns if turn.role == "user"], params, capabilities)


def _check_order(messages: Sequence[ChatMessage]) -> None:
    roles = [message.role for message in messages]
    spoken = [role for role in roles if role not in ("system", "developer")]
    if not spoken or spoken[0] != "user" or spoken[-1] != "user":
        raise ApiError(
            f"The messages have the roles {', '.join(roles[:20])}; the first behind the system's and the last must be "
            "the user's.",
            param="messages",
        )
    if any(role in ("system", "developer") for role in roles[roles.index("user") :]):
        raise ApiError("A system message comes behind others; it must come first.", param="messages")


def _parts(at: int, message: UserMessage | AssistantMessage, media: MediaSource) -> list[Part]:
    if message.content is None or isinstance(message.content, str):
        return [Text(message.content or "")]
    return [_part(part, media, f"messages.{at}.content.{number}") for number, part in enumerate(message.content)]


def _part(part: TextPart | ImagePart | VideoPart, media: MediaSource, place: str) -> Part:
    if isinstance(part, TextPart):
        return Text(part.text)
    try:
        return media.image(part.image_url.url) if isinstance(part, ImagePart) else media.video(part.video_url.url)
    except ApiError as error:
        raise ApiError(
            f"{place}: {error.message}", error.hint, error.status, error.code, place, error.headers
        ) from error
    except MediaError as error:
        raise ApiError(f"{place}: {error.message}", error.hint, code="invalid_media", param=place) from error


def _joined(parts: Sequence[Part]) -> list[Part]:
    """The parts without empty texts beside others."""
    kept = [part for part in parts if not isinstance(part, Text) or part.text]
    return kept or [Text("")]


def _text(content: str | list[TextPart]) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)
