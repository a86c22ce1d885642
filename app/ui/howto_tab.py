"""The tab "How to use": pictures and words, and examples that fill the message box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from app.errors import AppError
from app.ui import answering, payloads
from app.ui.attachments import message_parts
from app.ui.chat_tab import Chat
from app.ui.context import PRIVATE, Context
from app.ui.fewshot_tab import FewShot
from app.ui.labels import Label
from app.ui.page_state import Page
from app.ui.payloads import Draft, draft_value
from app.ui.texts import say
from app.ui.transcript import transcript

# An example asks about its own pictures alone: a model, a small one above all, mixes them up with those before.
FRESH = "async (page) => { await window.talks.fresh(); return [page]; }"
SHOW_FILES = "() => { window.openAttachments(); }"
EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """A clickable example: its texts are `name`, `name_help` and `name_ask`."""

    name: str
    files: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Copies where uploads lie: nothing else of this machine is ever served."""
        return tuple(Path(save_file_to_cache(EXAMPLES / file, get_upload_folder())) for file in self.files)


DRAFTS = (
    Example("one_image", ("shot_2.png",)),
    Example("images", ("pair_1.png", "pair_2.png")),
    Example("reading", ("word.jpg",)),
    Example("video", ("ball.mp4",)),
)
FEW_SHOT = Example("examples", ("shot_1.png", "shot_2.png", "shot_3.png"))


def add_howto(label: Label) -> list[gr.Button]:
    """A card per example, in the order of `DRAFTS` with the few-shot one last; returns their buttons."""
    with gr.Row(elem_classes="how-to", equal_height=True):
        buttons = [_card(example, label) for example in (*DRAFTS, FEW_SHOT)]
    gr.Markdown(label("tips"))
    return buttons


def connect_howto(context: Context, buttons: list[gr.Button], tabs: gr.Tabs, chat: Chat, tab: FewShot) -> None:
    """Bind the buttons."""
    for button, example in zip(buttons, DRAFTS, strict=False):
        filled = button.click(_filler(example), context.page, [tabs, chat.box], js=FRESH, **PRIVATE)
        filled.then(None, None, None, js=SHOW_FILES, **PRIVATE)

    def chosen(page: Page, data: gr.EventData) -> Any:
        try:
            key = payloads.prompt_key(data._data)
        except AppError as error:
            answering.toast(page, error)
            return gr.skip()
        return next((_filling(example, page)[1] for example in DRAFTS if example.name == key), gr.skip())

    taken = chat.chatbot.welcome_prompt_select(chosen, context.page, chat.box, **PRIVATE)
    taken.then(None, None, None, js=SHOW_FILES, **PRIVATE)

    def few_shot(page: Page) -> tuple[Any, ...]:
        first, second, question = FEW_SHOT.paths
        ask = say("examples_ask", page.locale)
        page.rejected = None
        try:
            for path, key in ((first, "examples_answer_1"), (second, "examples_answer_2")):
                parts = message_parts(ask, [path], context.max_file_size)
                page.session.add_example(parts, say(key, page.locale))
        except AppError as error:
            answering.toast(page, error)
            return tuple(gr.skip() for _ in range(4))
        return gr.Tabs(selected="few_shot"), transcript(page), str(question), ask

    buttons[-1].click(few_shot, context.page, [tabs, chat.chatbot, tab.image, tab.user], js=FRESH, **PRIVATE)


def _card(example: Example, label: Label) -> gr.Button:
    with gr.Column(elem_classes="card", min_width=230):
        gr.Markdown(label(example.name), elem_classes="card-title")
        if example.name == "video":
            gr.Video(str(example.paths[0]), height=150, show_label=False, interactive=False, buttons=[])
        else:
            with gr.Row(elem_classes="card-pictures"):
                for path in example.paths:
                    gr.Image(str(path), height=150, min_width=90, show_label=False, interactive=False, buttons=[])
        gr.Markdown(label(f"{example.name}_help"))
        return gr.Button(label("try"), size="sm", elem_classes=f"try-{example.name}")


def _filler(example: Example) -> Any:
    return lambda page: _filling(example, page)


def _filling(example: Example, page: Page) -> tuple[Any, Any]:
    """Updates of tabs and box."""
    draft = Draft(say(f"{example.name}_ask", page.locale), example.paths)
    return gr.Tabs(selected="chat"), gr.update(value=draft_value(draft))
