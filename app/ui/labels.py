"""Static texts that follow the browser's language by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import gradio as gr

from app.texts.languages import Locale
from app.ui.texts import static_key, translations

Label: TypeAlias = Callable[[str], Any]  # from a key of the texts to what Gradio translates


def make_i18n() -> gr.I18n:
    """The table that goes to the browser."""
    return gr.I18n(**translations())


def make_label() -> Label:
    """A function from a text's key to its translated label."""
    i18n = make_i18n()
    return lambda key: i18n(static_key(key))


def label_text(key: str, locale: Locale) -> str:
    """What the browser makes of a label's key."""
    return translations()[locale][key]
