"""How our scripts call the server: a button nobody sees; what they want goes with its click as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.errors import RequestError
from app.texts import Phrase
from app.ui.context import PRIVATE


@dataclass(frozen=True, slots=True)
class Bridge:
    """The button of a script, found by its class `bridge-NAME`, and what the call says."""

    name: str
    button: gr.Button
    call: gr.Textbox

    def connect(self, page: gr.State, handler: Callable[..., Any], inputs: Sequence[Any], outputs: Any) -> Any:
        """Have `handler(page, call, *inputs)` answer the calls."""
        take = f"(page, call, ...rest) => [page, (window.pageCalls || {{}})[{self.name!r}] || '', ...rest]"
        return self.button.click(
            handler, [page, self.call, *inputs], outputs, js=take, trigger_mode="always_last", **PRIVATE
        )


def add_bridge(name: str) -> Bridge:
    """A bridge for one script."""
    button = gr.Button(elem_classes=["page-bridge", f"bridge-{name}"])
    return Bridge(name, button, gr.Textbox(visible=False))


def not_understood() -> RequestError:
    """What a call that no script of ours makes is answered with."""
    return RequestError(Phrase("click_unclear"), Phrase("do_reload"))


def read_call(text: str | None) -> Mapping[str, Any]:
    """What a script wrote. It comes from a browser, so nothing in it is what it should be.

    Raises:
        RequestError: no JSON object.
    """
    try:
        call = json.loads(text or "")
    except ValueError:
        call = None
    if not isinstance(call, dict):
        raise not_understood()
    return call


def whole_number(call: Mapping[str, Any], name: str) -> int:
    """A field that is a whole number.

    Raises:
        RequestError: it is none.
    """
    value = call.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise not_understood()
    return value
