"""The page, put together and served."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read by Gradio when it is imported

import gradio as gr
import modelscope_studio.components.antdx as antdx
import modelscope_studio.components.base as ms
from starlette.middleware import Middleware

from app.backends.base import Backend
from app.feedback import FeedbackFile
from app.settings import Settings
from app.ui.abilities import add_abilities, connect_abilities, heading
from app.ui.answering import stopped
from app.ui.api import add_api
from app.ui.bench_panel import add_bench, connect_bench
from app.ui.chat_tab import Chat, add_box, add_chat_buttons, add_chatbot, connect_chat, localised
from app.ui.component_files import PageBlocks, component_routes
from app.ui.context import PRIVATE, Context
from app.ui.decoding_panel import DecodingPanel, adapter_choices, choices
from app.ui.early import EarlyScripts
from app.ui.feedback_row import add_feedback
from app.ui.fewshot_tab import FewShot, add_fewshot, connect_fewshot, question
from app.ui.head import head, styles
from app.ui.howto_tab import add_howto, connect_howto
from app.ui.installable import FAVICON, HEAD, app_routes
from app.ui.labels import make_i18n, make_label
from app.ui.language import add_language_switch, connect_language
from app.ui.meter_panel import Measuring, add_meter, connect_meters
from app.ui.page_state import Page
from app.ui.payloads import read_draft
from app.ui.presets import connect_presets
from app.ui.rest import rest
from app.ui.seen_panel import add_seen, connect_seen
from app.ui.status_line import add_status_line, status_html
from app.ui.talks import add_talk_toggle, add_talks, connect_talks
from app.ui.texts import Locale

CONCURRENT = 256  # events of one kind at a time: as many as wait in the backend, which orders the answers itself
MAX_THREADS = CONCURRENT + 64  # made as they are needed; an answer has one while it waits for the next update
MAX_WAITING = 512  # events; beyond, the server answers 503 with a clear text
PRIMARY = "#1668dc"  # of the chat components: white upon it has a contrast of 5.2
PURGE = (3600, 24 * 3600)  # every hour, of uploads older than a day; seconds


def build_demo(backend: Backend, settings: Settings) -> gr.Blocks:
    """The page of a backend that has been started."""
    label = make_label()
    feedback = FeedbackFile(Path(settings.feedback)) if settings.feedback else None
    with (
        PageBlocks(
            title=backend.capabilities.model, analytics_enabled=False, delete_cache=PURGE, fill_width=True
        ) as demo,
        ms.Application(),
        antdx.XProvider(theme_config={"token": {"colorPrimary": PRIMARY}}),
        ms.AutoLoading(show_timer=False),
    ):
        page = gr.State(Page())
        with gr.Row(elem_classes="top-row"):
            add_talk_toggle()
            title = gr.Markdown(heading(backend.capabilities), elem_classes="title")
            switch = add_language_switch()
        abilities = None if backend.settled else add_abilities(backend)
        status = add_status_line(page, backend, stands_in=settings.stands_in)
        with gr.Row(elem_classes="columns"):
            bridge = add_talks()
            with gr.Column(scale=3, min_width=280, elem_classes="main-column"):
                chatbot = add_chatbot(rated=feedback is not None)
                rated = add_feedback(page, chatbot, label, feedback, backend) if feedback else None
                with gr.Tabs(elem_classes="page-tabs") as tabs:
                    with gr.Tab(label("chat"), id="chat"):
                        chat = Chat(chatbot, add_box(label))
                        bench = add_bench()
                        meter = add_meter("chat")
                        buttons = add_chat_buttons(label)
                    with gr.Tab(
                        label("few_shot"),
                        id="few_shot",
                        visible=not backend.settled or backend.capabilities.few_shot,
                        elem_classes="few-shot-tab",
                    ):
                        few_shot = add_fewshot(label)
                        shots_meter = add_meter("shots")
                    with gr.Tab(label("how_to"), id="how_to", elem_classes="how-to-tab"):
                        cards = add_howto(label)
            with gr.Column(scale=1, min_width=320, elem_classes="side-column"):
                panel = DecodingPanel(backend.capabilities, settings.option_defaults, label, settled=backend.settled)
        seen = add_seen()
        signal = gr.State(0)
        outputs = [chatbot, chat.box, few_shot.generate, few_shot.stop, signal]
        context = Context(backend, page, panel, outputs, signal, settings.max_file_size)
        answers = connect_chat(context, chat, *buttons) + connect_fewshot(context, few_shot, chatbot)
        connect_howto(context, cards, tabs, chat, few_shot)
        connect_seen(context, seen)
        connect_presets(context)
        lines = [
            Measuring(meter, [chat.box], read_draft),
            Measuring(shots_meter, few_shot.question, question),
        ]
        answers += connect_meters(context, lines)
        connect_bench(context, bench, chat)
        _connect_stop(context, chat, few_shot, answers)
        connect_talks(demo, context, bridge, chat, answers, settings, [rated] if rated else [])
        worded = [status, chatbot, chat.box, panel.mode, *panel.adapter]

        def words(locale: Locale) -> Sequence[Any]:
            adapters = backend.capabilities.adapters
            named = [gr.update(choices=adapter_choices(adapters, locale)) for _ in panel.adapter]
            line = status_html(backend, locale, stands_in=settings.stands_in)
            return line, *localised(locale, rated=feedback is not None), gr.update(choices=choices(locale)), *named

        opened = connect_language(demo, page, switch, chatbot, worded, words)
        if abilities is not None:
            connect_abilities(context, opened, title, abilities)
        add_api(backend, settings)
    return demo


def launch(demo: gr.Blocks, settings: Settings, routes: Sequence[Any] = ()) -> None:
    """Serve the page until interrupted.

    Args:
        routes: served beside it; they come first.
    """
    demo.queue(max_size=MAX_WAITING, default_concurrency_limit=CONCURRENT)
    rest(demo)
    demo.launch(
        server_name=settings.host,
        server_port=settings.port,
        share=settings.share,
        auth=settings.auth,
        root_path=settings.root_path or None,
        max_file_size=settings.max_file_size,
        max_threads=MAX_THREADS,
        allowed_paths=[],
        theme=theme(),
        css_paths=styles(),
        head=HEAD + head(settings.lang),
        favicon_path=str(FAVICON),
        i18n=make_i18n(),
        run_history=False,
        footer_links=["api"],
        ssr_mode=False,
        app_kwargs={
            "routes": [*routes, *app_routes(), *component_routes(demo)],
            "middleware": [Middleware(EarlyScripts)],
        },
    )


def theme() -> gr.themes.Base:
    """The page's looks, with the fonts that the browser has: nothing is fetched from elsewhere.

    Colours that its base has too pale for texts (WCAG AA asks for a contrast of 4.5) are replaced.
    """
    return gr.themes.Default(
        primary_hue="blue",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(
        **{name: "*primary_600" for name in ("color_accent", "button_primary_background_fill")},
        **{name: "*primary_700" for name in ("button_primary_background_fill_hover", "link_text_color")},
        **{name: "*neutral_600" for name in ("body_text_color_subdued", "block_label_text_color")},
        link_text_color_dark="*primary_300",
        link_text_color_visited="*primary_700",
        link_text_color_visited_dark="*primary_300",
        link_text_color_hover_dark="*primary_200",
    )


def _connect_stop(context: Context, chat: Chat, few_shot: FewShot, answers: list[Any]) -> None:
    """Stop cancels; the answer's own end decides what stays, and is shown after it."""
    for trigger in (chat.box.cancel, few_shot.stop.click):
        trigger(None, None, None, cancels=answers, queue=False, **PRIVATE).then(
            stopped, context.page, context.outputs, **PRIVATE
        )
