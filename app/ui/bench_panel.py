"""The video bench: under the message box, the frames of each attached clip that will be sent, and which to take."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from time import monotonic_ns
from typing import Any

import gradio as gr

from app.errors import AppError, OptionError
from app.media.kind import sniff_kind
from app.media.video import choose, preview
from app.messages import FrameChoice, Video
from app.sampling import BY_NAME
from app.talks.choice import LONGEST, RATES, is_within, read_dropped
from app.texts import Phrase
from app.turn import Turn
from app.ui import answering, payloads
from app.ui.bench_html import bench_html
from app.ui.bridge import Bridge, add_bridge, not_understood, read_call, whole_number
from app.ui.chat_tab import Chat
from app.ui.context import PRIVATE, Context
from app.ui.decoding_panel import CONTROLS
from app.ui.page_state import Page
from app.ui.transcript import turn_at

THUMBNAIL_PIXELS = 160 * 120
DRAFTED = "() => { window.talks.redraft(); }"  # the choices are kept with what stands in the message box
LIMITED = "() => { window.dispatchEvent(new Event('pageframes')); }"  # by hand, by a button or with other options


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
            most = panel.params(values).max_frames
            clips = _clips(payloads.read_draft(box).files)
            refused = _take(page, clips, text, most)
            strips = "".join(_strip(page, path, number, most) for number, path in enumerate(clips))
            # The controls show what was refused: the script sets them back. It looks where a class has changed.
            return strips + (f'<span class="bench-refused at-{monotonic_ns()}"></span>' if refused else "")
        except AppError as error:
            answering.toast(page, error)
            return gr.skip()

    def find(page: Page, text: str, *values: Any) -> Any:
        try:
            call = read_call(text)
            turn, _ = turn_at(page.session, whole_number(call, "index"))
            params = turn.params or panel.params(values)
            turns = page.session.turns
            found = frame_place(turns[: turns.index(turn) + 1], whole_number(call, "frame"), params.max_frames)
            if found is None:
                return ""
            # The same again would be no change for Gradio.
            target = escape(json.dumps(found))
            return f'<span class="at-{monotonic_ns()}" data-seek="{target}"></span>'
        except AppError as error:
            answering.toast(page, error)
            return gr.skip()

    shown = bench.call.connect(context.page, show, [chat.box, *panel.inputs], bench.strips)
    shown.then(None, None, None, js=DRAFTED, **PRIVATE)
    bench.find.connect(context.page, find, panel.inputs, bench.seek)
    limit = panel.inputs[1 + [option.name for option in CONTROLS].index("max_frames")]
    limit.change(None, None, None, js=LIMITED, **PRIVATE)


def frame_place(turns: Sequence[Turn], frame: int, max_frames: int) -> tuple[int, int, float] | None:
    """Where frame number `frame`, from 1, of the clips of the last of these turns that has any is seen.

    Returns:
        The message of `transcript`, the clip in it, both from 0, and seconds in the clip; None if there is none.
    """
    for index, turn in reversed(list(enumerate(turns))):
        clips = [part for part in turn.user.content if isinstance(part, Video)]
        for number, clip in enumerate(clips):
            times = choose(clip.source, clip.max_frames or max_frames, clip.choice).times
            if 1 <= frame <= len(times):
                return 2 * index, number, times[frame - 1]
            frame -= len(times)
        if clips:
            break
    return None


def changed(choice: FrameChoice, call: Mapping[str, Any], usual: Callable[[], int]) -> FrameChoice:
    """A choice as the strip's controls stand, or with these frames dropped.

    Args:
        usual: asked how many frames are taken where the call has no number, which belonged to another mode; of frames a
            second it is one.

    Raises:
        RequestError: no such thing. OptionError: a number out of range.
    """
    if "dropped" in call:
        return replace(choice, dropped=read_dropped(call["dropped"]))
    start, end = (_seconds(call.get(name)) for name in ("start", "end"))
    mode = call.get("mode")
    value = _seconds(call["value"] if "value" in call else 1 if mode == "fps" else usual())
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


def _take(page: Page, clips: Sequence[Path], text: str, most: int) -> bool:
    """Keep what a call changes of a clip; whether it was refused, which the user is told."""
    try:
        call = read_call(text)
        if "clip" in call:
            number = whole_number(call, "clip")
            for path in clips[number : number + 1]:
                choice = page.choices.get(path, FrameChoice())
                page.choices[path] = changed(choice, call, partial(_count, path, choice, most))
    except AppError as error:
        answering.toast(page, error)
        return True
    return False


def _count(path: Path, choice: FrameChoice, most: int) -> int:
    """Frames of a clip as it is chosen, those that are dropped among them; may read all of its time stamps."""
    return choice.count or len(choose(path, most, replace(choice, dropped=frozenset())).positions)


def _strip(page: Page, path: Path, number: int, most: int) -> str:
    """The frames of the choice, those that are dropped among them."""
    choice = page.choices.get(path, FrameChoice())
    chosen, frames = preview(path, most, replace(choice, dropped=frozenset()), THUMBNAIL_PIXELS)
    return bench_html(number, path, choice, chosen, frames, page.locale)
