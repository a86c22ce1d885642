"""The strip of one clip as HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from app.media.video import ChosenFrames
from app.messages import FrameChoice
from app.talks.choice import choice_json
from app.ui.seen_html import clock
from app.ui.texts import Locale, say
from app.ui.thumbnails import thumbnail_url

SIDE = 128  # px
MODES = ("fps", "count", "scenes")


def bench_html(
    number: int,
    path: Path,
    choice: FrameChoice,
    chosen: ChosenFrames,
    frames: Sequence[Image.Image],
    locale: Locale,
) -> str:
    """The controls and the frames of a clip.

    Args:
        number: of the clip in the message, from 0.
        path: where the page knows it by.
        chosen, frames: of the choice without any dropped.
    """
    duration = chosen.info.duration
    sent = sum(position not in choice.dropped for position in chosen.positions)
    title = escape(say("bench", locale, number=number + 1, frames=sent, length=clock(duration)))
    rows = zip(chosen.positions, chosen.times, frames, strict=True)
    strip = "".join(_frame(position, time, frame, choice, locale) for position, time, frame in rows)
    return (
        f'<section class="bench" data-clip="{number}" data-path="{escape(str(path))}" '
        f'data-choice="{escape(json.dumps(choice_json(choice)))}" '
        f'aria-label="{title}"><div class="bench-head"><b>{title}</b>'
        f"{_controls(duration, choice, len(chosen.positions), locale)}</div>"
        f'<ol class="bench-strip">{strip}</ol></section>'
    )


def _controls(duration: float, choice: FrameChoice, count: int, locale: Locale) -> str:
    end = duration if choice.end is None else min(choice.end, duration)
    mode = "scenes" if choice.scenes else "count" if choice.count else "fps"
    value = f"{choice.fps:g}" if mode == "fps" else str(choice.count or count)
    options = "".join(
        f'<option value="{name}"{" selected" if name == mode else ""}>{escape(say(f"bench_{name}", locale))}</option>'
        for name in MODES
    )
    step = max(duration / 1000, 0.01)
    return (
        _range("start", choice.start, duration, step, locale)
        + _range("end", end, duration, step, locale)
        + f'<select data-name="mode" aria-label="{escape(say("bench_mode", locale))}">{options}</select>'
        + f'<input data-name="value" type="number" min="0.01" step="any" value="{value}" '
        f'aria-label="{escape(say(f"bench_{mode}", locale))}">'
    )


def _range(name: str, value: float, duration: float, step: float, locale: Locale) -> str:
    label = escape(say(f"bench_{name}", locale))
    return (
        f'<label>{label} <output>{clock(value)}</output><input data-name="{name}" type="range" min="0" '
        f'max="{duration:.3f}" step="{step:.3f}" value="{value:.3f}" aria-label="{label}"></label>'
    )


def _frame(position: int, time: float, frame: Image.Image, choice: FrameChoice, locale: Locale) -> str:
    dropped = position in choice.dropped
    label = escape(say("bench_drop", locale, time=clock(time)))
    return (
        f'<li><button type="button" class="bench-frame" data-frame="{position}" aria-pressed="{str(dropped).lower()}" '
        f'aria-label="{label}"><img src="{thumbnail_url(frame, SIDE)}" alt=""><span>{clock(time)}</span></button></li>'
    )
