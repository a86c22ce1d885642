"""What a model was given, as HTML: pictures with their grids, frames with their times, the prompt, the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from time import monotonic_ns

from app.backends.base import Capabilities
from app.messages import Usage
from app.sampling import BY_NAME, OPTIONS, Mode, SamplingParams
from app.seen import Piece, Seen, SeenPicture, SeenSlice
from app.turn import Turn
from app.ui.decoding_panel import applies
from app.ui.texts import Locale, say
from app.ui.thumbnails import thumbnail_url

IMAGE_SIDE = 480  # px
OVERVIEW_SIDE = 120
FRAME_SIDE = 180


def seen_html(
    seen: Seen, turn: Turn, params: SamplingParams, capabilities: Capabilities, locale: Locale, *, changed: bool = False
) -> str:
    """The dialog of an answer.

    Args:
        changed: the answer was written from other messages.
    """
    pictures = [picture for picture in seen.pictures if picture.kind == "image"]
    clips = [list(frames) for _, frames in groupby(_frames(seen), key=lambda frame: frame.clip)]
    parts = [
        f"<p><strong>{escape(say('saw_changed', locale))}</strong></p>" if changed else "",
        _counts(seen, turn.usage, params, locale),
        *(_image(picture, locale) for picture in pictures),
        *(_clip(frames, locale) for frames in clips),
        _prompt(seen, locale, changed=changed),
        _settings(params, capabilities, locale),
    ]
    return _dialog("".join(parts), locale)


def unknown_html(turn: Turn, params: SamplingParams, locale: Locale) -> str:
    """The dialog where the model is elsewhere, or none at all."""
    usage = turn.usage
    known = f"<p>{escape(say('saw_counted', locale, count=usage.prompt_tokens))}</p>" if usage else ""
    return _dialog(f"<p>{escape(say('saw_unknown', locale))}</p>{known}", locale)


def clock(seconds: float) -> str:
    """A time in a clip, such as 0:07.5 or 1:02:03."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02}" if hours else str(minutes)
    tail = f".{rest % 10}" if rest % 10 else ""
    return f"{head}:{rest // 10:02}{tail}"


def _dialog(body: str, locale: Locale) -> str:
    title = escape(say("saw", locale))
    return (
        # The same again would be no change for Gradio, and nothing would open.
        f'<dialog class="seen" data-at="{monotonic_ns()}" aria-labelledby="seen-title"><div class="seen-head">'
        f'<h2 id="seen-title">{title}</h2>'
        f'<button type="button" class="seen-close" aria-label="{escape(say("close", locale))}">×</button></div>'
        f'<div class="seen-body" tabindex="0" role="group" aria-labelledby="seen-title">{body}</div></dialog>'
    )


def _frames(seen: Seen) -> Iterable[SeenPicture]:
    return (picture for picture in seen.pictures if picture.kind == "frame")


def _counts(seen: Seen, usage: Usage | None, params: SamplingParams, locale: Locale) -> str:
    rows = [
        ("saw_prompt_tokens", say("saw_of_context", locale, count=len(seen.ids), context=seen.context)),
        ("saw_vision", f"{seen.vision_tokens:,}"),
        ("saw_text", f"{len(seen.ids) - seen.vision_tokens:,}"),
    ]
    if usage is not None:
        rows.append(("saw_reused", f"{usage.cached_tokens:,}"))
        if usage.cached_slices:
            rows.append(("saw_reused_slices", f"{usage.cached_slices:,}"))
    if seen.dropped:
        rows.append(("saw_dropped", f"{seen.dropped:,}"))
    return f'<dl class="seen-counts">{"".join(_row(say(key, locale), value) for key, value in rows)}</dl>'


def _row(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _image(picture: SeenPicture, locale: Locale) -> str:
    title = say("saw_image", locale, number=picture.number)
    width, height = picture.picture.size
    overview, *cells = picture.slices
    lines = [f"{width} × {height} px", say("saw_tokens", locale, count=picture.tokens)]
    table = [_part(say("saw_overview", locale), overview, picture.patch, 1, locale)]
    if cells and picture.grid:
        columns, rows = picture.grid
        name = say("saw_cells", locale, columns=columns, rows=rows)
        table.append(_part(name, cells[0], picture.patch, len(cells), locale))
    figure = f'<div class="seen-picture">{_drawn(picture, IMAGE_SIDE, title)}{_grid(picture)}</div>'
    small = f'<div class="seen-overview">{_drawn(picture, OVERVIEW_SIDE, say("saw_overview", locale))}</div>'
    caption = f"<figcaption>{escape(' · '.join(lines))}<ul>{''.join(table)}</ul>{small}</figcaption>"
    return f'<section><h3>{escape(title)}</h3><figure class="seen-image">{figure}{caption}</figure></section>'


def _part(name: str, one: SeenSlice, patch: int, count: int, locale: Locale) -> str:
    rows, columns = one.patches
    tokens = say("saw_tokens", locale, count=one.tokens)
    times = f"{count} × " if count > 1 else ""
    return f"<li>{escape(f'{name}: {times}{columns * patch} × {rows * patch} px, {times}{tokens}')}</li>"


def _drawn(picture: SeenPicture, side: int, title: str) -> str:
    return f'<img src="{thumbnail_url(picture.picture, side)}" alt="{escape(title)}">'


def _grid(picture: SeenPicture) -> str:
    """The cells over the picture, each with its number."""
    cells = []
    for number, one in enumerate(picture.slices[1:], 1):
        left, top, right, bottom = (100 * share for share in one.box)
        place = f"left:{left:.3f}%;top:{top:.3f}%;width:{right - left:.3f}%;height:{bottom - top:.3f}%"
        cells.append(f'<span class="seen-cell" style="{place}">{number}</span>')
    return f'<div class="seen-grid" aria-hidden="true">{"".join(cells)}</div>' if cells else ""


def _clip(frames: list[SeenPicture], locale: Locale) -> str:
    first = frames[0]
    tokens = say("saw_tokens", locale, count=sum(frame.tokens for frame in frames))
    title = say("saw_clip", locale, number=first.clip, frames=len(frames))
    parts = say("saw_frame_parts", locale, slices=len(first.slices), count=first.tokens)
    strip = "".join(
        f'<li><div class="seen-picture">{_drawn(frame, FRAME_SIDE, say("saw_frame", locale, number=frame.number))}'
        f"{_grid(frame)}</div><span>{frame.number} · {clock(frame.time or 0.0)}</span></li>"
        for frame in frames
    )
    return (
        f"<section><h3>{escape(title)}</h3><p>{escape(f'{tokens} · {parts}')}</p>"
        f'<ol class="seen-frames">{strip}</ol></section>'
    )


def _prompt(seen: Seen, locale: Locale, *, changed: bool) -> str:
    labels = iter(_labels(seen, locale))
    runs = "".join(_piece(piece, labels, locale) for piece in seen.pieces)
    note = escape(say("saw_prompt_now" if changed else "saw_prompt_help", locale))
    return (
        f'<section><h3 id="seen-prompt">{escape(say("saw_prompt", locale))}</h3><p>{note}</p>'
        f'<pre class="seen-prompt" tabindex="0" role="group" aria-labelledby="seen-prompt">{runs}</pre></section>'
    )


def _labels(seen: Seen, locale: Locale) -> Iterable[str]:
    """What each run of features belongs to, in their order."""
    for picture in seen.pictures:
        if picture.kind == "image":
            name = say("saw_image", locale, number=picture.number)
        else:
            name = f"{say('saw_frame', locale, number=picture.number)} {clock(picture.time or 0.0)}"
        yield name
        yield from (f"{name} · {number}" for number in range(1, len(picture.slices)))


def _piece(piece: Piece, labels: Iterator[str], locale: Locale) -> str:
    if piece.kind == "text":
        return escape(piece.text)
    if piece.kind == "special":
        return f'<b class="seen-special">{escape(piece.text)}</b>'
    label = f"{next(labels)}: {say('saw_tokens', locale, count=piece.tokens)}"
    return f'<i class="seen-features">{escape(label)}</i>'


def _settings(params: SamplingParams, capabilities: Capabilities, locale: Locale) -> str:
    mode: Mode = "sampling" if params.do_sample else "beam"
    rows = [(_label("do_sample", locale), say(mode, locale))]
    for option in OPTIONS:
        value = getattr(params, option.name)
        if option.name != "do_sample" and applies(option, mode, capabilities) and value not in (None, ""):
            rows.append((_label(option.name, locale), f"{value:g}" if isinstance(value, float) else str(value)))
    if params.adapter:
        rows.append((say("adapter", locale), params.adapter))
    settings = "".join(_row(name, value) for name, value in rows)
    return f'<section><h3>{escape(say("saw_settings", locale))}</h3><dl class="seen-counts">{settings}</dl></section>'


def _label(name: str, locale: Locale) -> str:
    return BY_NAME[name].label.to(locale)
