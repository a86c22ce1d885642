"""The endpoint `/chat` for programs: the same conversation rules, without the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from app.backends.base import Backend
from app.errors import AppError, MediaError, RequestError
from app.messages import Message, Part, Text
from app.sampling import SamplingParams
from app.session import Session, Updates
from app.settings import Settings
from app.texts import Phrase
from app.turn import Turn
from app.ui.answering import paced
from app.ui.attachments import attachment, message_parts


def add_api(backend: Backend, settings: Settings) -> None:
    """Add `/chat` to the page being built."""

    # The signature is the API: names and types are what clients see.
    def chat(
        message: str,
        files: list[dict] | None = None,
        history: list[dict] | None = None,
        params: dict | None = None,
    ) -> Iterator[str]:
        """Answer a message; the answer so far is sent again each time it has grown.

        Args:
            message: the text; files come before it, or where [image 1] or [video 1] stand in it.
            files: uploaded files, made with handle_file of gradio_client.
            history: earlier turns, {"role": "user" or "assistant", "content": ...} in turn. Content is a text or a
                list of {"type": "text", "text": ...} and uploaded files.
            params: decoding options by name, and "adapter": the name of the adapter that answers, or "base".
        """
        try:
            options = SamplingParams.of(params or {}, {**backend.capabilities.defaults, **settings.option_defaults})
            session = _session(history or [], settings.max_file_size)
            uploads = [uploaded_file(file) for file in files or []]
            parts = message_parts(message, uploads, settings.max_file_size)
            yield from _answers(session, session.send(parts, options, backend))
        except AppError as error:
            raise gr.Error(str(error), print_exception=False) from error

    gr.api(chat, api_name="chat")


def history_turns(history: Sequence[Any], max_file_size: int) -> list[Turn]:
    """Turns from alternating questions and answers.

    Raises:
        RequestError: another order, role or content.
        MediaError: a file that was not uploaded, or is neither image nor video.
    """
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in history]
    if roles != ["user", "assistant"] * (len(history) // 2):
        raise RequestError(
            Phrase("history_roles", roles=roles),
            Phrase("do_system_param"),
        )
    return [
        Turn(Message("user", _content(question, max_file_size)), _text(_content(answer, max_file_size)), "done")
        for question, answer in zip(history[::2], history[1::2], strict=True)
    ]


def uploaded_file(item: Any) -> Path:
    """The file of an upload; nothing else on this machine is ever opened.

    Raises:
        MediaError: no uploaded file.
    """
    while isinstance(item, Mapping):
        item = next((item[key] for key in ("path", "file", "image", "video") if item.get(key)), None)
    path = Path(item).resolve() if isinstance(item, str) else Path()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise MediaError(Phrase("not_uploaded"), Phrase("do_handle_file"))
    return path


def _session(history: Sequence[Any], max_file_size: int) -> Session:
    session = Session()
    session.turns = history_turns(history, max_file_size)
    return session


def _answers(session: Session, updates: Updates) -> Iterator[str]:
    """The growing answer, at the pace of the page."""
    shown = None
    try:
        for update in paced(updates):
            if update.turn.answer and update.turn.answer != shown:
                shown = update.turn.answer
                yield shown
    finally:
        updates.close()
    last = session.turns[-1]
    if last.error:
        raise last.error
    if last.answer != shown:
        yield last.answer


def _content(message: Mapping[str, Any], max_file_size: int) -> tuple[Part, ...]:
    content = message.get("content")
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list) or not all(isinstance(item, Mapping) for item in content):
        raise RequestError(Phrase("history_content"))
    return tuple(
        Text(item["text"]) if isinstance(item.get("text"), str) else attachment(uploaded_file(item), max_file_size)
        for item in content
    )


def _text(parts: Sequence[Part]) -> str:
    if not all(isinstance(part, Text) for part in parts):
        raise RequestError(Phrase("history_file"))
    return "\n".join(part.text for part in parts if isinstance(part, Text))
