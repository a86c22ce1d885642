"""The dialog "What the model saw": under each answer, on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.errors import AppError
from app.messages import Message
from app.sampling import SamplingParams
from app.session import Session
from app.talks.form import MediaId, digest_of
from app.turn import Turn
from app.ui import answering
from app.ui.bridge import Bridge, add_bridge, read_call, whole_number
from app.ui.context import PRIVATE, Context
from app.ui.page_state import Page
from app.ui.seen_html import seen_html, unknown_html
from app.ui.talk_media import MediaIds
from app.ui.transcript import turn_at

ANSWERED = "() => { window.seenAnswered(); }"


@dataclass(frozen=True, slots=True)
class SeenPanel:
    """What the script writes to and what it opens."""

    bridge: Bridge
    dialog: gr.HTML


def add_seen() -> SeenPanel:
    """The dialog, closed; seen_panel.js puts the buttons under the answers."""
    return SeenPanel(add_bridge("seen"), gr.HTML(elem_classes="seen-host", padding=False))


def connect_seen(context: Context, panel: SeenPanel) -> None:
    """Bind the event."""
    ids = MediaIds()

    def show(page: Page, text: str, *controls: Any) -> Any:
        try:
            turn, _ = turn_at(page.session, whole_number(read_call(text), "index"))
            messages, params, changed = asked(page.session, turn, context.panel.params(controls), ids.of)
            seen = context.backend.inspect(messages, params)
            if seen is None:
                return unknown_html(turn, params, page.locale)
            return seen_html(seen, turn, params, context.backend.capabilities, page.locale, changed=changed)
        except AppError as error:
            answering.toast(page, error)
            return gr.skip()

    shown = panel.bridge.connect(context.page, show, context.panel.inputs, panel.dialog)
    shown.then(None, None, None, js=ANSWERED, **PRIVATE)


def asked(
    session: Session, turn: Turn, now: SamplingParams, media_id: MediaId
) -> tuple[Sequence[Message], SamplingParams, bool]:
    """What a turn's answer was written from, as far as it is known; else what it would be written from now.

    Args:
        now: the options of the page.

    Returns:
        Messages, options, and whether the answer is known to have been written from other messages.
    """
    params = turn.params or now
    if turn.asked:
        return turn.asked, params, False
    before = session.turns[: session.turns.index(turn)]
    messages = [*(message for other in before for message in other.messages()), turn.user]
    return messages, params, bool(turn.asked_digest) and digest_of(messages, media_id) != turn.asked_digest
