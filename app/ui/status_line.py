"""The line under the title: how far loading is, and whether the answers can mean anything."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from app.backends.base import Backend
from app.texts import translated
from app.ui.page_state import Page
from app.ui.texts import Locale, say

INTERVAL = 1.0  # seconds between looks at a model that loads


def add_status_line(page: gr.State, backend: Backend, *, stands_in: bool = False) -> gr.HTML:
    """The line, looked after until the model is ready or has failed.

    Args:
        stands_in: the embedded model answers instead of the one that was asked for.
    """
    line = gr.HTML(status_html(backend, "en", stands_in=stands_in), elem_classes="status", padding=False)
    timer = gr.Timer(INTERVAL)

    def tick(page: Page) -> tuple[str, Any]:
        return status_html(backend, page.locale, stands_in=stands_in), gr.Timer(
            active=backend.status().state in ("loading", "away")
        )

    timer.tick(tick, page, [line, timer], queue=False, show_progress="hidden", api_visibility="private")
    return line


def status_html(backend: Backend, locale: Locale, *, stands_in: bool = False) -> str:
    """What the line says; empty when the model is ready and trained."""
    status = backend.status()
    detail = translated(status.detail, locale)
    if status.state == "failed":
        return _line("failed", f"{say('load_failed', locale)} {detail}")
    if status.state == "away":
        return _line("loading", f"{say('away', locale)} {detail}")
    if status.state == "loading":
        share = "" if status.fraction is None else f" {status.fraction:.0%}"
        return _line("loading", f"{say('loading', locale)} {detail}{share}")
    if stands_in:
        return _line("noise", say("stands_in", locale))
    return _line("noise", say("noise", locale)) if backend.capabilities.random_weights else ""


def _line(kind: str, text: str) -> str:
    return f'<p role="status" class="status-{kind}">{html.escape(text.strip())}</p>'
