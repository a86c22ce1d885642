"""The tab "Few Shot": examples of question and answer, then the real question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.errors import AppError
from app.messages import Part
from app.ui import answering
from app.ui.answering import View
from app.ui.attachments import message_parts
from app.ui.context import PRIVATE, Context
from app.ui.labels import Label
from app.ui.page_state import Page
from app.ui.payloads import Draft
from app.ui.transcript import transcript


@dataclass(frozen=True, slots=True)
class FewShot:
    """The components of the tab."""

    image: gr.Image
    user: gr.Textbox
    assistant: gr.Textbox
    add: gr.Button
    generate: gr.Button
    stop: gr.Button

    @property
    def fields(self) -> list[Any]:
        """What an example is made of."""
        return [self.image, self.user, self.assistant]

    @property
    def question(self) -> list[Any]:
        """What the real question is made of."""
        return [self.image, self.user]


def add_fewshot(label: Label) -> FewShot:
    """The fields and buttons."""
    gr.Markdown(label("few_shot_help"), elem_classes="help")
    with gr.Row(elem_classes="few-shot"):
        image = gr.Image(
            label=label("image"),
            type="filepath",
            sources=["upload", "webcam", "clipboard"],
            height=220,
            scale=1,
            min_width=220,
        )
        with gr.Column(scale=2, min_width=260):
            user = gr.Textbox(label=label("user"), placeholder=label("user_hint"), lines=2)
            assistant = gr.Textbox(label=label("assistant"), placeholder=label("assistant_hint"), lines=2)
            with gr.Row():
                add = gr.Button(label("add_example"))
                generate = gr.Button(label("generate"), variant="primary")
                stop = gr.Button(label("stop"), variant="stop", visible=False)
    return FewShot(image, user, assistant, add, generate, stop)


def question(image: str | None, user: str | None) -> Draft:
    """What Generate would ask."""
    return Draft(user or "", (Path(image),) if image else ())


def connect_fewshot(context: Context, tab: FewShot, chatbot: Any) -> list[Any]:
    """Bind the events; returns those that a Stop ends."""
    handlers = FewShotHandlers(context)
    page = context.page
    tab.add.click(handlers.add, [page, *tab.fields], [chatbot, *tab.fields], **PRIVATE)
    kept = gr.State((None, ""))
    inputs = [page, *tab.question, *context.panel.inputs]
    asked = tab.generate.click(handlers.generate, inputs, [*context.outputs, kept], **PRIVATE)
    asked.success(_emptied, [page, kept, *tab.question], tab.question, **PRIVATE)
    return [asked]


class FewShotHandlers:
    """What the events of the tab do."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(self, page: Page, image: str | None, user: str, assistant: str) -> tuple[Any, ...]:
        """Add an example to the conversation and empty the fields; they stay if it cannot be added."""
        page.rejected = None
        try:
            page.session.add_example(self._parts(image, user), assistant)
        except AppError as error:
            answering.toast(page, error)
            return transcript(page), gr.skip(), gr.skip(), gr.skip()
        return transcript(page), None, "", ""

    def generate(self, page: Page, image: str | None, user: str, *controls: Any) -> Iterator[View]:
        """Ask the real question; the view ends with what was asked."""
        try:
            parts = self._parts(image, user)
            params = self._context.panel.params(controls)
        except AppError as error:
            yield (*answering.reject(page, error), gr.skip())
            return
        updates = page.session.send(parts, params, self._context.backend)
        yield from ((*view, (image, user)) for view in answering.answer(page, updates))

    def _parts(self, image: str | None, user: str) -> Sequence[Part]:
        draft = question(image, user)
        return message_parts(draft.text, draft.files, self._context.max_file_size)


def _emptied(page: Page, asked: Sequence[Any], image: str | None, user: str) -> tuple[Any, Any]:
    """Empty the question once it is answered, but for what was put there meanwhile."""
    turns = page.session.turns
    done = bool(turns) and turns[-1].state == "done" and page.rejected is None
    return (
        None if done and image == asked[0] else gr.skip(),
        "" if done and user == asked[1] else gr.skip(),
    )
