"""What the page shows by what answers, for an engine elsewhere, which may come up after the page or be replaced."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.backends.base import Backend, Capabilities
from app.ui.context import PRIVATE, Context
from app.ui.page_state import Page


def heading(capabilities: Capabilities) -> str:
    """What answers, as far as it is known."""
    return f"# {capabilities.model}"


def add_abilities(backend: Backend) -> gr.HTML:
    """What the style sheet goes by: a tab's own visibility cannot change once the page is built."""
    return gr.HTML(_told(backend.capabilities), elem_classes="abilities-host", padding=False)


def connect_abilities(context: Context, opened: Any, title: gr.Markdown, abilities: gr.HTML) -> None:
    """Have every page that is opened show what is known then.

    Args:
        opened: the event of a page's opening, after which it has its language and what it was built with.
    """
    panel = context.panel

    def learn(page: Page, *values: Any) -> list[Any]:
        known = context.backend.capabilities
        return [heading(known), _told(known), *panel.renew(known, page.locale, values)]

    outputs = [title, abilities, panel.presets, *panel.restored]
    opened.then(learn, [context.page, *panel.restored], outputs, queue=False, **PRIVATE)


def _told(capabilities: Capabilities) -> str:
    return f'<span class="abilities" data-few-shot="{str(capabilities.few_shot).lower()}"></span>'
