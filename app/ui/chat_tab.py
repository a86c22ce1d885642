"""The tab "Chat" and the conversation above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import modelscope_studio.components.pro as pro

from app.errors import AppError
from app.placement import marked_text
from app.ui import answering, payloads
from app.ui.answering import View
from app.ui.attachments import message_parts, with_choices
from app.ui.bridge import add_bridge, not_understood, read_call, whole_number
from app.ui.context import PRIVATE, Context
from app.ui.escape import JOINER
from app.ui.labels import Label
from app.ui.page_state import Page, new_id
from app.ui.texts import Locale, say
from app.ui.transcript import turn_at

PROMPTS = ("one_image", "images", "reading", "video")  # examples of "How to use"
HEIGHT = "max(320px, calc(100dvh - 300px))"


@dataclass(frozen=True, slots=True)
class Chat:
    """The components other tabs write to."""

    chatbot: Any
    box: Any


def add_chatbot(*, rated: bool = False) -> Any:
    """The conversation; an output only, the server keeps the history.

    Args:
        rated: answers can be liked and disliked.
    """
    return pro.Chatbot(
        height=HEIGHT,
        elem_classes="conversation",
        welcome_config=welcome("en"),
        user_config={"actions": ["copy", "edit", _delete("en")]},
        bot_config={"actions": _answer_actions("en", rated), "variant": "borderless"},
        markdown_config={"latex_delimiters": _math(), "allow_tags": False, "sanitize_html": True},
    )


def add_box(label: Label) -> Any:
    """The message box with its attachments."""
    return pro.MultimodalInput(
        placeholder=label("placeholder"),
        elem_classes="message-box",
        auto_size={"minRows": 1, "maxRows": 8},
        upload_config=upload_config("en"),
    )


def upload_config(locale: Locale) -> dict[str, Any]:
    """How files are attached."""
    hint = {"title": say("drop", locale), "description": say("drop_hint", locale)}
    return {
        "multiple": True,
        "accept": "image/*,video/*",
        "fullscreen_drop": True,
        "allow_paste_file": True,
        "overflow": "scrollX",
        "title": say("attachments", locale),
        "placeholder": {"inline": hint, "drop": {"title": say("drop", locale)}},
    }


def welcome(locale: Locale) -> dict[str, Any]:
    """What an empty conversation shows: words, and examples that fill the message box."""
    items = [{"key": name, "label": say(name, locale), "description": say(f"{name}_ask", locale)} for name in PROMPTS]
    prompts = {"title": say("welcome_try", locale), "items": items, "wrap": True, "elem_classes": "welcome-prompts"}
    words = {"title": say("welcome", locale), "description": say("welcome_hint", locale)}
    return {**words, "prompts": prompts, "variant": "borderless"}


def localised(locale: Locale, *, rated: bool = False) -> tuple[Any, Any]:
    """Updates of chatbot and box for a page in another language."""
    actions = ["copy", "edit", _delete(locale)]
    bot = gr.update(
        welcome_config=welcome(locale),
        user_config={"actions": actions, "placement": "end"},
        bot_config={"actions": _answer_actions(locale, rated), "placement": "start", "variant": "borderless"},
    )
    return bot, gr.update(upload_config=upload_config(locale), placeholder=say("placeholder", locale))


def add_chat_buttons(label: Label) -> tuple[gr.Button, gr.Button]:
    """Regenerate and Clear history."""
    with gr.Row(elem_classes="chat-buttons"):
        regenerate = gr.Button(label("regenerate"), size="sm")
        clear = gr.Button(label("clear"), size="sm", elem_classes="clear-history")
    return regenerate, clear


def connect_chat(context: Context, chat: Chat, regenerate: gr.Button, clear: gr.Button) -> list[Any]:
    """Bind the events; returns those that a Stop ends."""
    page, inputs, outputs = context.page, context.panel.inputs, context.outputs
    handlers = ChatHandlers(context)
    sent = chat.box.submit(handlers.send, [page, chat.box, *inputs], outputs, **PRIVATE)
    again = regenerate.click(handlers.regenerate, [page, *inputs], outputs, **PRIVATE)
    edited = add_bridge("edit").connect(page, handlers.edit, inputs, outputs)
    chat.chatbot.delete(handlers.delete, page, outputs, **PRIVATE)
    clear.click(handlers.clear, page, outputs, **PRIVATE)
    # Only when there is something to settle: each update of the box may cost a keystroke of who types into it.
    context.signal.change(_settle, [page, chat.box], chat.box, **PRIVATE)
    # The page asks where the box still shows what it sent.
    add_bridge("settle").connect(page, lambda page, _, box: _settle(page, box), [chat.box], chat.box)
    return [sent, again, edited]


class ChatHandlers:
    """What the events of the tab do."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def send(self, page: Page, value: Any, *controls: Any) -> Iterator[View]:
        """Ask what is in the message box."""
        draft = payloads.read_draft(value)
        try:
            parts = with_choices(page.choices, message_parts(draft.text, draft.files, self._context.max_file_size))
            params = self._context.panel.params(controls)
        except AppError as error:
            yield answering.reject(page, error)
            return
        yield from answering.answer(page, page.session.send(parts, params, self._context.backend), sent=draft)

    def regenerate(self, page: Page, *controls: Any) -> Iterator[View]:
        """Answer the last question again."""
        try:
            params = self._context.panel.params(controls)
        except AppError as error:
            yield answering.reject(page, error)
            return
        yield from answering.answer(page, page.session.regenerate(params, self._context.backend))

    def edit(self, page: Page, text: str, *controls: Any) -> Iterator[View]:
        """Answer an edited question, or keep an edited answer."""
        try:
            call = read_call(text)
            texts = read_texts(call.get("texts"))
            turn, is_answer = turn_at(page.session, whole_number(call, "index"))
            if is_answer:
                text = "\n".join(texts)
                page.session.edit_answer(turn.key, text.replace(JOINER, ""))
                yield answering.idle(page)
                return
            text = payloads.edited_question(turn.user.content, texts)
            params = self._context.panel.params(controls)
        except AppError as error:
            yield answering.reject(page, error)
            return
        if text == marked_text(turn.user.content):
            yield answering.idle(page)
            return
        yield from answering.answer(page, page.session.edit(turn.key, text, params, self._context.backend))

    def delete(self, page: Page, data: gr.EventData) -> View:
        """Remove a question with its answer."""
        page.rejected = None
        try:
            turn, _ = turn_at(page.session, payloads.message_index(data._data))
            page.session.delete(turn.key)
        except AppError as error:
            answering.toast(page, error)
        return answering.shown(page)

    def clear(self, page: Page) -> View:
        """Forget the conversation; an answer being written ends."""
        page.session.clear()
        page.rejected = page.unsent = None
        page.cleared, page.talk = [*page.cleared[-99:], page.talk], new_id()
        return answering.idle(page)


def read_texts(value: Any) -> list[str]:
    """What stood in the text areas of a message that was edited.

    Raises:
        RequestError: something else.
    """
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise not_understood()
    return value


def _settle(page: Page, box: Any) -> Any:
    return answering.settle(page, payloads.read_draft(box))


def _answer_actions(locale: Locale, rated: bool) -> list[Any]:
    return ["copy", "edit", *(["like", "dislike"] if rated else []), _delete(locale)]


def _delete(locale: Locale) -> dict[str, Any]:
    texts = {"title": say("delete_ask", locale), "okText": say("delete", locale), "cancelText": say("cancel", locale)}
    return {"action": "delete", "popconfirm": texts}


def _math() -> list[dict[str, str | bool]]:
    """Without a single dollar sign, which prices have too."""
    pairs = (("$$", "$$", True), ("\\[", "\\]", True), ("\\(", "\\)", False))
    return [{"left": left, "right": right, "display": display} for left, right, display in pairs]
