"""The video bench: under the message box, the frames of each attached clip that will be sent, and which to take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from time import monotonic_ns
from typing import Any

import gradio as gr

from app.errors import AppError, OptionError
from app.media.kind import sniff_kind
from app.media.video import choose, probe, read_frames
from app.messages import FrameChoice, Part, Video
from app.sampling import BY_NAME
from app.talks.choice import LONGEST, RATES, is_within, read_dropped
from app.texts import Phrase
from app.ui import answering, payloads
from app.ui.bench_html import bench_html
from app.ui.bridge import Bridge, add_bridge, not_understood, read_call, whole_number
from app.ui.chat_tab import Chat
from app.ui.context import PRIVATE, Context
from app.ui.page_state import Page
from app.ui.transcript import turn_at

THUMBNAIL_PIXELS = 160 * 120
DRAFTED = "() => { window.talks.redraft(); }"  # the choices are kept with what stands in the message box


@dataclass(frozen=True, slots=True)
class Bench:
    """The strips and what their script calls; `seek` tells it a time to jump to."""

    strips: gr.HTML
    call: Bridge
    seek: gr.HTML
    find: Bridge


def add_bench() -> Bench:
    """No strip as long as no clip is attached."""
    return Bench(
        gr.HTML(elem_classes="bench-host", padding=False),
        add_bridge("bench"),
        gr.HTML(elem_classes=["seek-host", "page-bridge"], padding=False),
        add_bridge("seek"),
    )


def connect_bench(context: Context, bench: Bench, chat: Chat) -> None:
    """Bind the events."""
    panel = context.panel

    def show(page: Page, text: str, box: Any, *values: Any) -> Any:
        try:
            call = read_call(text)
            clips = _clips(payloads.read_draft(box).files)
            if "clip" in call:
                clip = clips[whole_number(call, "clip") : whole_number(call, "clip") + 1]
                for path in clip:
                    page.choices[path] = changed(page.choices.get(path, FrameChoice()), call)
            most = panel.params(values).max_frames
            return "".join(_strip(page, path, number, most) for number, path in enumerate(clips))
        except AppError as error:
            answering.toast(page, error)
            return gr.skip()

    def find(page: Page, text: str, *values: Any) -> Any:
        try:
            call = read_call(text)
            turn, _ = turn_at(page.session, whole_number(call, "index"))
            params = turn.params or panel.params(values)
            found = frame_time(
                [part for other in page.session.turns for part in other.user.content if other is turn],
                whole_number(call, "frame"),
                params.max_frames,
            )
            if found is None:
                return ""
            # The same again would be no change for Gradio.
            target = escape(json.dumps([call["index"], found]))
            return f'<span data-at="{monotonic_ns()}" data-seek="{target}"></span>'
        except AppError as error:
            answering.toast(page, error)
            return gr.skip()

    shown = bench.call.connect(context.page, show, [chat.box, *panel.inputs], bench.strips)
    shown.then(None, None, None, js=DRAFTED, **PRIVATE)
    bench.find.connect(context.page, find, panel.inputs, bench.seek)


def frame_time(parts: Sequence[Part], frame: int, max_frames: int) -> float | None:
    """Seconds at which frame number `frame`, from 1, of the clips of a message appears; None if there is none."""
    for part in parts:
        if isinstance(part, Video):
            times = choose(part.source, part.max_frames or max_frames, part.choice).times
            if 1 <= frame <= len(times):
                return times[frame - 1]
            frame -= len(times)
    return None


def changed(choice: FrameChoice, call: Mapping[str, Any]) -> FrameChoice:
    """A choice as the strip's controls stand, or with these frames dropped.

    Raises:
        RequestError: no such thing. OptionError: a number out of range.
    """
    if "dropped" in call:
        return replace(choice, dropped=read_dropped(call["dropped"]))
    start, end = (_seconds(call.get(name)) for name in ("start", "end"))
    mode, value = call.get("mode"), _seconds(call.get("value"))
    if end <= start:
        raise OptionError(Phrase("range_backwards"), Phrase("do_move_end"))
    if mode == "fps":
        if not is_within(value, *RATES):
            raise OptionError(Phrase("fps_range", value=value))
        return FrameChoice(start, end, fps=value)
    if mode not in ("count", "scenes"):
        raise not_understood()
    count = BY_NAME["max_frames"].check(int(value))
    return FrameChoice(start, end, count=count, scenes=mode == "scenes")


def _seconds(value: Any) -> float:
    if not is_within(value, 0, LONGEST):
        raise not_understood()
    return float(value)


def _clips(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if file.is_file() and sniff_kind(file) == "video"]


def _strip(page: Page, path: Path, number: int, most: int) -> str:
    """The frames of the choice, those that are dropped among them."""
    choice = page.choices.get(path, FrameChoice())
    whole = replace(choice, dropped=frozenset())
    chosen = choose(path, most, whole)
    frames = read_frames(path, most, max_pixels=THUMBNAIL_PIXELS, choice=whole)
    return bench_html(number, path, probe(path).duration, choice, chosen, frames.frames, page.locale)
