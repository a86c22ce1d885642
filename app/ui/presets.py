"""Decoding presets on the page: those of the model, and the user's own, which the browser keeps (presets.js)."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from app.errors import AppError
from app.presets import DEFAULTS, to_values, use
from app.sampling import SamplingParams
from app.talks.reading import read_params
from app.ui import answering
from app.ui.bridge import add_bridge, not_understood, read_call
from app.ui.context import PRIVATE, Context
from app.ui.page_state import Page

KEEP = "(text) => { if (text) window.presets.keep(JSON.parse(text)); }"


def connect_presets(context: Context) -> None:
    """Bind what the script asks for: to use a preset, or to be told what the panel shows."""
    panel = context.panel
    bridge, told = add_bridge("preset"), gr.Textbox(visible=False)
    shown = panel.restored[: len(panel.restored) - len(panel.adapter)]

    def act(page: Page, text: str, *values: Any) -> list[Any]:
        try:
            call = read_call(text)
            if call.get("do") == "keep":
                kept = {"name": call.get("name"), "values": to_values(panel.params(values)), "at": call.get("at")}
                return [*(gr.skip() for _ in shown), json.dumps(kept)]
            return [*panel.restore(_wanted(context, call, values))[: len(shown)], ""]
        except AppError as error:
            answering.toast(page, error)
            return [*(gr.skip() for _ in shown), ""]  # what was told before is no answer to this

    acted = bridge.connect(context.page, act, panel.inputs, [*shown, told])
    acted.then(None, told, None, js=KEEP, **PRIVATE)


def _wanted(context: Context, call: Any, values: Any) -> SamplingParams:
    """The options of a preset: of the model by name, or of the user by what the browser has kept.

    Raises:
        OptionError: no such preset, or the panel shows what cannot be used.
        RequestError: what the browser has kept are no options.
    """
    if "values" in call:
        params = read_params(call["values"])
        if params is None:
            raise not_understood()
        return params
    name, panel = str(call.get("name"))[:40], context.panel
    now = SamplingParams() if name == DEFAULTS else panel.params(values)
    return use(name, panel.capabilities, panel.overrides, now)
