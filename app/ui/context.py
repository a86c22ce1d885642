"""What the tabs share while the page is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.backends.base import Backend
from app.ui.decoding_panel import DecodingPanel

# Events of the page: not part of the API, and without a veil over what they update.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True, slots=True)
class Context:
    """What the tabs share.

    Attributes:
        page: the `Page` of each open page.
        outputs: what an answer updates: conversation, message box, Generate, Stop of the few-shot tab, signal.
        signal: changes when the message box has to be settled.
        max_file_size: bytes.
    """

    backend: Backend
    page: gr.State
    panel: DecodingPanel
    outputs: Sequence[Any]
    signal: gr.State
    max_file_size: int
