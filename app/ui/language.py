"""The language of one page: which it opens in, and the switch in its corner, which loses nothing that is on it.

Gradio translates static labels by itself into the language of the browser. They are found in the components that were
built with them, and updated where the reader has chosen another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gradio as gr
from gradio.i18n import I18nData

from app.errors import AppError
from app.texts.languages import LANGUAGES, known, locale_of
from app.ui import answering
from app.ui.bridge import Bridge, add_bridge, not_understood, read_call
from app.ui.context import PRIVATE
from app.ui.labels import label_text
from app.ui.page_state import Page
from app.ui.texts import Locale
from app.ui.transcript import transcript

Labelled: TypeAlias = Mapping[str, str]  # from an argument of a component to the key of its label
Rest: TypeAlias = Callable[[Locale], Sequence[Any]]  # updates of what has words apart from labels
TAKE = "(page) => [page, JSON.stringify({ language: window.pageLanguage, labels: window.labelLanguage })]"


@dataclass(frozen=True, slots=True)
class Switch:
    """What the script of the switch calls."""

    bridge: Bridge


def add_language_switch() -> Switch:
    """The place of the switch, which language.js fills."""
    gr.HTML('<div class="language-place"></div>', padding=False, elem_classes="language-host")
    return Switch(add_bridge("language"))


def connect_language(
    demo: gr.Blocks, page: gr.State, switch: Switch, chatbot: Any, components: Sequence[Any], rest: Rest
) -> Any:
    """Bind the switch, and the page's opening; returns the event of that, after which the page has its language.

    Args:
        components: what `rest` updates, in its order, the chatbot among it.
    """
    others = [block for block in demo.blocks.values() if labelled(block) and block not in components]

    def say(page: Page) -> list[Any]:
        updates = [update if isinstance(update, dict) else gr.update(value=update) for update in rest(page.locale)]
        updates[components.index(chatbot)]["value"] = transcript(page)
        named = [_relabelled(block, page.locale) | update for block, update in zip(components, updates, strict=True)]
        return [*named, *(_relabelled(block, page.locale) for block in others)]

    def greet(page: Page, call: str, request: gr.Request) -> list[Any]:
        try:
            page.locale, labels = _asked(call, "language"), _asked(call, "labels")
        except AppError:  # a page without our scripts
            page.locale = labels = locale_of(request.headers.get("accept-language"))
        if page.locale != labels:
            return say(page)
        said = rest(page.locale) if page.locale != LANGUAGES[0] else [gr.skip() for _ in components]
        return [*said, *(gr.skip() for _ in others)]

    def change(page: Page, call: str) -> list[Any]:
        try:
            page.locale = _asked(call, "language")
        except AppError as error:
            answering.toast(page, error)
            return [gr.skip() for _ in (*components, *others)]
        return say(page)

    outputs = [*components, *others]
    opened = demo.load(greet, [page, switch.bridge.call], outputs, js=TAKE, queue=False, **PRIVATE)
    switch.bridge.connect(page, change, [], outputs)
    return opened


def labelled(block: Any) -> Labelled:
    """Those arguments of a component that are labels, with their keys."""
    arguments = getattr(block, "constructor_args", None)
    given = arguments if isinstance(arguments, Mapping) else {}
    return {name: value.key for name, value in given.items() if isinstance(value, I18nData)}


def _asked(call: str, name: str) -> Locale:
    locale = known(str(read_call(call).get(name)))
    if locale is None:
        raise not_understood()
    return locale


def _relabelled(block: Any, locale: Locale) -> dict[str, Any]:
    """The update that gives a component its labels in a language."""
    return gr.update(**{name: label_text(key, locale) for name, key in labelled(block).items()})
