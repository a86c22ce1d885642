"""The panel of decoding options, made from their declarations, and above it the choice of an adapter."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from app.backends.base import Capabilities
from app.presets import shipped
from app.sampling import BASE, OPTIONS, Mode, Option, SamplingParams, default_of
from app.ui.labels import Label
from app.ui.texts import Locale, say

CONTROLS: tuple[Option, ...] = tuple(option for option in OPTIONS if option.name != "do_sample")
MODES: tuple[Mode, ...] = ("sampling", "beam")


class DecodingPanel:
    """The radio "Decode Type", one control per option, and the adapters if there are any.

    Args:
        settled: see `Backend.settled`; else there is a place for adapters that are not known yet.

    Attributes:
        capabilities: of what answers.
        overrides: defaults that win over the family's.
        inputs: the components whose values `params` takes, in its order.
        adapter: the drop-down of adapters in a list, which is empty where there are none.
        restored: the components that `restore` updates, in its order.
        presets: the place of the presets, which presets.js fills.
    """

    def __init__(
        self, capabilities: Capabilities, overrides: Mapping[str, Any], label: Label, *, settled: bool = True
    ) -> None:
        self.capabilities = self._built = capabilities
        self.overrides = overrides
        self._defaults = self._of(capabilities)
        self._start = _start(self._defaults)
        choosing = bool(capabilities.adapters) or not settled
        self.adapter = [add_adapter_choice(capabilities.adapters, label)] if choosing else []
        with gr.Accordion(label("decoding"), open=True, elem_classes="decoding"):
            self.presets = gr.HTML(self._presets(), padding=False)
            self.mode = gr.Radio(
                choices("en"), value=self._start, label=label("option.do_sample"), visible=capabilities.beam_search
            )
            self._controls = [self._control(option, label) for option in CONTROLS]
        options: list[Any] = [self.mode, *self._controls]
        self.inputs = [*options, *self.adapter]
        self._previous = gr.State(self._start)
        self.restored = [self._previous, *self.inputs]
        self.mode.change(
            self._switch,
            [self._previous, *options],
            [self._previous, *self._controls],
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )

    def params(self, values: Sequence[Any]) -> SamplingParams:
        """The options from the values of `inputs`; controls that do not apply have no say.

        Raises:
            OptionError: a value is out of range.
        """
        mode: Mode = "beam" if values[0] == "beam" else "sampling"
        controls, adapter = values[1 : len(CONTROLS) + 1], values[len(CONTROLS) + 1 :]
        given = {
            option.name: _read(option, value)
            for option, value in zip(CONTROLS, controls, strict=True)
            if applies(option, mode, self.capabilities) and (option.optional or value is not None)
        }
        given |= {"adapter": adapter[0]} if adapter else {}
        return SamplingParams.of({**given, "do_sample": mode == "sampling"}, self._defaults)

    def renew(self, capabilities: Capabilities, locale: Locale, values: Sequence[Any]) -> list[Any]:
        """Updates of `presets` and of `restored` for a page that was built when less was known of what answers.

        What the page shows that is not its default of then, stays: it belongs to a conversation that was opened.

        Args:
            values: those of `restored`.
        """
        self.capabilities, self._defaults = capabilities, self._of(capabilities)
        self._start = _start(self._defaults)
        if capabilities == self._built:
            return [gr.skip() for _ in (self.presets, *self.restored)]
        before = self._of(self._built)
        shown, controls, adapter = values[1], values[2 : len(CONTROLS) + 2], values[len(CONTROLS) + 2 :]
        mode: Mode = self._start if shown == _start(before) or not capabilities.beam_search else shown
        updates = []
        for option, value in zip(CONTROLS, controls, strict=True):
            kept = value != default_of(option, shown, before)
            chosen = value if kept else default_of(option, mode, self._defaults)
            updates.append(gr.update(visible=applies(option, mode, capabilities), value=chosen))
        named = gr.update(
            choices=adapter_choices(capabilities.adapters, locale),
            visible=bool(capabilities.adapters),
            value=adapter[0] if adapter and adapter[0] in capabilities.adapters else BASE,
        )
        radio = gr.update(visible=capabilities.beam_search, value=mode)
        return [self._presets(), mode, radio, *updates, *(named for _ in self.adapter)]

    def restore(self, params: SamplingParams) -> list[Any]:
        """Updates that show the options of an earlier answer; of an adapter that is not there any more, the model's."""
        mode: Mode = params.mode if self.capabilities.beam_search else "sampling"
        controls = [
            gr.update(visible=applies(option, mode, self.capabilities), value=_written(option, params))
            for option in CONTROLS
        ]
        adapter = params.adapter if params.adapter in self.capabilities.adapters else BASE
        return [mode, gr.update(value=mode), *controls, *(gr.update(value=adapter) for _ in self.adapter)]

    def _of(self, capabilities: Capabilities) -> dict[str, Any]:
        """The defaults of the options."""
        return {**capabilities.defaults, **self.overrides}

    def _presets(self) -> str:
        names = html.escape(json.dumps(list(shipped(self.capabilities, self.overrides))))
        return f'<div class="presets-place" data-presets="{names}"></div>'

    def _switch(self, previous: Mode, mode: Mode, *values: Any) -> tuple[Any, ...]:
        """Show what applies; a value still at the old decode type's default becomes the new one's."""
        updates = [self._updated(option, previous, mode, value) for option, value in zip(CONTROLS, values, strict=True)]
        return (mode, *updates)

    def _updated(self, option: Option, previous: Mode, mode: Mode, value: Any) -> Any:
        old, new = (default_of(option, each, self._defaults) for each in (previous, mode))
        visible = applies(option, mode, self.capabilities)
        return gr.update(visible=visible, value=new) if value == old and old != new else gr.update(visible=visible)

    def _control(self, option: Option, label: Label) -> Any:
        common = {
            "value": default_of(option, self._start, self._defaults),
            "label": label(f"option.{option.name}"),
            "info": label(f"option.{option.name}.help"),
            "visible": applies(option, self._start, self.capabilities),
            "elem_classes": f"option-{option.name}",
        }
        if option.type is bool:
            return gr.Checkbox(**common)
        if option.choices:
            return gr.Radio(list(option.choices), **common)
        if option.type is str:
            return gr.Textbox(lines=2, max_lines=6, **common)
        if option.optional:  # a number box would show empty as 0
            return gr.Textbox(placeholder=label("random"), max_lines=1, **common)
        return gr.Slider(option.minimum, option.maximum, step=option.step, **common)


def _start(defaults: Mapping[str, Any]) -> Mode:
    """The decode type that a page begins with."""
    return "beam" if defaults.get("do_sample") is False else "sampling"


def applies(option: Option, mode: Mode, capabilities: Capabilities) -> bool:
    """Whether an option has an effect, so that its control is shown."""
    missing = {"max_frames": not capabilities.video, "system_prompt": not capabilities.system_prompt}
    hidden = {option.name, f"{mode}.{option.name}"} & capabilities.hidden_options
    return mode in option.modes and not hidden and not missing.get(option.name, False)


def choices(locale: Locale) -> list[tuple[str, str]]:
    """The decode types with their names."""
    return [(say(mode, locale), mode) for mode in MODES]


def add_adapter_choice(names: Sequence[str], label: Label) -> gr.Dropdown:
    """The drop-down of adapters, with the model alone first; not shown while there are none."""
    return gr.Dropdown(
        adapter_choices(names, "en"),
        value=BASE,
        label=label("adapter"),
        info=label("adapter_help"),
        filterable=False,
        visible=bool(names),
    )


def adapter_choices(names: Sequence[str], locale: Locale) -> list[tuple[str, str]]:
    """The adapters and the model alone, with what is shown for each."""
    return [(say("base", locale), BASE), *((name, name) for name in names)]


def _written(option: Option, params: SamplingParams) -> Any:
    """The value as the control shows it."""
    value = getattr(params, option.name)
    return "" if value is None else str(value) if option.optional else value


def _read(option: Option, value: Any) -> Any:
    """The value of a control; an optional number comes as text."""
    if not option.optional or not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return int(text) if text else None
    except ValueError:
        return text  # refused with the option's own message
