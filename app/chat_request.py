"""The input of the documented `chat({...})`: JSON messages and base64 images to arguments of `model.chat`."""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from app.errors import ImageError, RequestError
from app.texts import Phrase

if TYPE_CHECKING:
    from PIL.Image import Image

Part: TypeAlias = "str | Image"

MESSAGE_FORM = Phrase("do_chat_form")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation and how to answer it.

    Attributes:
        turns: role and parts of each message, the first one the user's; pictures are upright and RGB.
        options: keyword arguments for `model.chat`, not checked yet.
    """

    turns: tuple[tuple[str, tuple[Part, ...]], ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def messages(self) -> list[dict[str, Any]]:
        """The turns as lists of parts, pictures among them: what members with several images take."""
        return [{"role": role, "content": list(parts)} for role, parts in self.turns]

    def messages_of_one_image(self, model: str) -> tuple[Image | None, list[dict[str, Any]]]:
        """The only picture, and the turns as plain strings: what members with one image take.

        Args:
            model: the member's name, for the message of the error.

        Raises:
            RequestError: there are several pictures, or the one is not in the first message.
        """
        pictures = [
            (at, part) for at, (_, parts) in enumerate(self.turns) for part in parts if not isinstance(part, str)
        ]
        if len(pictures) > 1:
            raise RequestError(Phrase("chat_images_many", count=len(pictures), model=model), Phrase("do_one_image"))
        if pictures and pictures[0][0] > 0:
            raise RequestError(
                Phrase("chat_image_late", number=pictures[0][0] + 1, model=model),
                Phrase("do_image_first"),
            )
        texts = [
            {"role": role, "content": "\n".join(part for part in parts if isinstance(part, str))}
            for role, parts in self.turns
        ]
        return (pictures[0][1] if pictures else None), texts


def parse_request(given: Mapping[str, Any]) -> ChatRequest:
    """Read the documented input.

    Args:
        given: "question": messages as a JSON text or as a list; "image": base64, or a list of them, put in front of
            the first message, which may be absent; "params": options as a dict or JSON text; all other keys are
            options too.

    Raises:
        RequestError: not of this form.
        ImageError: an image is not base64 or no picture.
    """
    if not isinstance(given, Mapping) or "question" not in given:
        got = _keys_of(given)
        raise RequestError(Phrase("chat_input_wrong", got=got), MESSAGE_FORM)
    options = dict(given)
    messages = _from_json(options.pop("question"), '"question"')
    images = options.pop("image", None) or []
    params = options.pop("params", None) or {}
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise RequestError(Phrase("chat_question_empty"), MESSAGE_FORM)
    turns = [_turn(message, number) for number, message in enumerate(messages, 1)]
    if turns[0][0] != "user":
        raise RequestError(Phrase("first_not_user"), Phrase("do_begin_user"))
    listed = [images] if isinstance(images, (str, bytes)) else images
    leading = tuple(decode_image(image, f'"image" {number}') for number, image in enumerate(_sequence(listed), 1))
    turns[0] = (turns[0][0], leading + turns[0][1])
    return ChatRequest(tuple(turns), _merged(options, params))


def _keys_of(given: Any) -> Phrase:
    if isinstance(given, Mapping):
        return Phrase("has_keys", keys=", ".join(map(str, given)))
    return Phrase("a_type", type=type(given).__name__)


def decode_image(data: Any, place: str) -> Image:
    """A picture from base64, with or without "data:...;base64," in front.

    Args:
        place: where it stood, to begin the message of an error.

    Raises:
        ImageError: not base64, or not a picture that can be used.
    """
    from app.media.images import read_image

    if not isinstance(data, (str, bytes)):
        raise ImageError(Phrase("base64_type", place=place, type=type(data).__name__), Phrase("do_use_img2base64"))
    text = data.decode("ascii", errors="replace") if isinstance(data, bytes) else data
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ImageError(Phrase("base64_wrong", place=place), Phrase("do_use_img2base64")) from None
    try:
        return read_image(io.BytesIO(raw))
    except ImageError as error:
        raise ImageError(Phrase("at_place", place=place, message=error.message), error.hint) from None


def _turn(message: Any, number: int) -> tuple[str, tuple[Part, ...]]:
    """Role and parts of message `number`, counted from 1."""
    role = message.get("role") if isinstance(message, Mapping) else None
    if role not in ("user", "assistant"):
        got = (
            Phrase("has_role", role=role)
            if isinstance(message, Mapping)
            else Phrase("is_type", type=type(message).__name__)
        )
        raise RequestError(Phrase("chat_role_wrong", number=number, got=got), MESSAGE_FORM)
    content = message.get("content")
    parts = [content] if isinstance(content, str) else content
    if not isinstance(parts, Sequence) or not parts:
        raise RequestError(Phrase("chat_no_content", number=number), MESSAGE_FORM)
    return role, tuple(_part(part, number) for part in parts)


def _part(part: Any, number: int) -> Part:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "image":
        return decode_image(part.get("pairs"), Phrase("image_of_message", number=number))
    if kind != "text" or not isinstance(part.get("pairs"), str):
        got = Phrase("part_no_text" if kind == "text" else "part_type", kind=kind)
        raise RequestError(Phrase("chat_part_wrong", number=number, got=got), MESSAGE_FORM)
    return part["pairs"]


def _from_json(value: Any, name: str) -> Any:
    if not isinstance(value, (str, bytes)):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        where = Phrase("at_character", number=error.pos + 1) if isinstance(error, json.JSONDecodeError) else ""
        raise RequestError(Phrase("chat_not_json", name=name, where=where), MESSAGE_FORM) from None


def _merged(options: Mapping[str, Any], params: Any) -> dict[str, Any]:
    listed = _from_json(params, '"params"')
    if not isinstance(listed, Mapping):
        raise RequestError(Phrase("chat_params_type", type=type(listed).__name__), Phrase("do_pass_params"))
    return dict(options) | dict(listed)


def _sequence(images: Any) -> Sequence[Any]:
    if not isinstance(images, Sequence):
        raise ImageError(Phrase("chat_image_type", type=type(images).__name__), Phrase("do_use_img2base64"))
    return images
