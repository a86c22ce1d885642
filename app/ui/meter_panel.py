"""The line under a message that is written: what it would take, and what would fit where it takes too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from app.errors import AppError, MediaError, RequestError
from app.messages import Image, Message, Video
from app.meter import Fix, Measured, what_fits
from app.sampling import SamplingParams
from app.ui import answering, payloads
from app.ui.attachments import message_parts, with_choices
from app.ui.bridge import Bridge, add_bridge, read_call
from app.ui.context import PRIVATE, Context
from app.ui.decoding_panel import CONTROLS
from app.ui.fixes import button, fix_buttons, read_fix
from app.ui.page_state import Page
from app.ui.texts import Locale, say

FIXED = ("max_slice_nums", "max_frames")  # the options that a button may lower


@dataclass(frozen=True, slots=True)
class Meter:
    """A line and what its script calls."""

    line: gr.HTML
    measure: Bridge


@dataclass(frozen=True, slots=True)
class Measuring:
    """What a line measures.

    Attributes:
        fields: the components that a message is written in.
        read: makes a message of their values.
    """

    meter: Meter
    fields: Sequence[Any]
    read: Callable[..., payloads.Draft]


def add_meter(name: str) -> Meter:
    """The line, empty.

    Args:
        name: by which the script knows it.
    """
    host = gr.HTML(elem_classes=["meter-host", f"meter-{name}"], padding=False)
    return Meter(host, add_bridge(f"measure-{name}"))


def connect_meters(context: Context, lines: Sequence[Measuring]) -> list[Any]:
    """Bind the events; returns those that a Stop ends."""
    panel, page = context.panel, context.page
    controls = [panel.inputs[1 + index] for index, option in enumerate(CONTROLS) if option.name in FIXED]

    def measure(line: Measuring, page: Page, call: str, *values: Any) -> Any:
        fields, controls = values[: len(line.fields)], values[len(line.fields) :]
        try:
            return _line(context, page, _as_typed(line.read(*fields), call), panel.params(controls))
        except (MediaError, RequestError):
            return ""  # said when it is sent
        except AppError:
            return gr.skip()

    def fix(page: Page, call: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            asked = read_call(call)
            if asked.get("kind") == "retry":
                updates = page.session.regenerate(panel.params(values), context.backend)
                yield from ((*view, gr.skip(), gr.skip()) for view in answering.answer(page, updates))
                return
            changed = _apply(page, read_fix(asked))
            yield (*answering.shown(page), *(gr.update(value=changed[name]) if name in changed else gr.skip()
                                             for name in FIXED))  # fmt: skip
        except AppError as error:
            yield (*answering.reject(page, error), gr.skip(), gr.skip())

    fixing = add_bridge("fix")
    fixed = fixing.connect(page, fix, panel.inputs, [*context.outputs, *controls])
    for line in lines:
        inputs, measured = [*line.fields, *panel.inputs], partial(measure, line)
        line.meter.measure.connect(page, measured, inputs, line.meter.line)
        typed = f"(page, call, ...rest) => [page, window.meterCalls[{line.meter.measure.name!r}](), ...rest]"
        fixed.then(measured, [page, fixing.call, *inputs], line.meter.line, js=typed, **PRIVATE)
    return [fixed]


def _as_typed(draft: payloads.Draft, call: str) -> payloads.Draft:
    """With the text that the script reads where it is typed: the component tells of it late, or of an older one."""
    text = read_call(call).get("text")
    return replace(draft, text=text) if isinstance(text, str) else draft


def _apply(page: Page, fix: Fix) -> dict[str, int]:
    """Options that change."""
    if fix.kind == "leave_out":
        page.session.leave_out(fix.value)
        return {}
    SamplingParams.of({fix.kind: fix.value})
    return {fix.kind: fix.value}


def _line(context: Context, page: Page, draft: payloads.Draft, params: SamplingParams) -> Any:
    """The line for what is written."""
    session = page.session
    left_out = sum(turn.left_out for turn in session.turns)
    if not draft.text.strip() and not draft.files:
        return _left_out(left_out, page.locale)
    if session.busy:
        return gr.skip()
    parts = with_choices(page.choices, message_parts(draft.text, draft.files, context.max_file_size))
    messages = [*session.messages(), Message("user", parts)]
    measured = context.backend.measure(messages, params)
    if measured is None:
        return _paragraph(say("meter_unknown", page.locale)) + _left_out(left_out, page.locale)
    fixes: list[Fix] = []
    if not measured.fits:
        media = [part for message in messages for part in message.content]
        fixes = what_fits(
            context.backend.measure,
            messages,
            params,
            images=any(isinstance(part, (Image, Video)) for part in media),
            videos=any(isinstance(part, Video) for part in media),
        )
        fixes = [Fix("leave_out", fix.value + left_out) if fix.kind == "leave_out" else fix for fix in fixes]
    return meter_html(measured, fixes, page.locale) + _left_out(left_out, page.locale)


def meter_html(measured: Measured, fixes: Sequence[Fix], locale: Locale) -> str:
    """The line, and where it does not fit the reason with the buttons."""
    parts = [say("meter_tokens", locale, count=measured.tokens, room=measured.room)]
    if measured.attachments:
        counts = " + ".join(f"{count:,}" for count in measured.attachments)
        parts.append(say("meter_attachments", locale, counts=counts))
    if measured.free is not None:
        parts.append(say("meter_memory", locale, need=size(measured.memory), free=size(measured.free)))
    seconds = measured.seconds
    parts.append(
        say("meter_new", locale) if seconds is None else say("meter_seconds", locale, seconds=f"{seconds:.2g}")
    )
    share = min(1.0, measured.tokens / measured.room) if measured.room else 1.0
    bar = (
        f'<meter class="meter-bar" min="0" max="1" high="0.9" value="{share:.3f}" '
        f'aria-label="{escape(parts[0])}"></meter>'
    )
    figures = "".join(f"<span>{escape(part)}</span>" for part in parts)
    name = escape(say("meter", locale))
    return f'<div class="meter" role="group" aria-label="{name}">{bar}{figures}</div>{_over(measured, fixes, locale)}'


def size(count: int) -> str:
    """Bytes in words, such as 1.2 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _over(measured: Measured, fixes: Sequence[Fix], locale: Locale) -> str:
    if measured.fits:
        return ""
    if measured.too_long:
        reason = say("meter_too_long", locale)
    elif measured.dropped:
        reason = say("meter_dropped", locale, count=measured.dropped)
    else:
        reason = say("meter_memory_short", locale)
    buttons = fix_buttons(fixes, locale)
    return f'<div class="meter-over" role="status"><span>{escape(reason)}</span>{buttons}</div>'


def _left_out(count: int, locale: Locale) -> str:
    if not count:
        return ""
    text = escape(say("meter_left_out", locale, count=count))
    bring_back = button(say("fix_bring_back", locale), "leave_out")
    return f'<div class="meter meter-left-out"><span>{text}</span>{bring_back}</div>'


def _paragraph(text: str) -> str:
    return f'<div class="meter"><span>{escape(text)}</span></div>'
