"""From a running answer to updates of the page, ten times a second."""

from __future__ import annotations

import html
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any, TypeAlias

import gradio as gr

from app.errors import AppError
from app.session import Update, Updates
from app.texts import translated
from app.ui.answer_parts import parts_of
from app.ui.page_state import Page
from app.ui.payloads import Draft, draft_value
from app.ui.texts import say
from app.ui.transcript import transcript

INTERVAL = 0.1  # seconds between updates: one per token would slow both the model and the browser
LONG = 10_000  # characters: the browser sets the last part anew with each update, so a longer one gets fewer
REST = 5  # times as long as an update took, until the next
LONGEST = 2.0  # seconds, where updates take long
FAR = 20  # places in the queue from which on it is updated as seldom as it gets
STOP_PATIENCE = 10.0  # seconds a stopped answer may take to end

View: TypeAlias = tuple[Any, ...]  # of: chatbot, message box, Generate, Stop of the few-shot tab, settle signal


def answer(page: Page, updates: Updates, sent: Draft | None = None) -> Iterator[View]:
    """Run an answer and show it. Closing this ends the answer.

    Args:
        sent: what was in the message box; it is emptied once the answer has begun, and kept for `settle` if it fails.
    """
    page.rejected = None
    began = False
    try:
        for _ in paced(_noted(page, updates)):
            yield _running(page, first=not began, empty_box=sent is not None)
            began = True
    except AppError as error:
        yield reject(page, error)
        return
    finally:
        updates.close()
        page.progress = None
    last = page.session.turns[-1] if page.session.turns else None
    if last and last.error:
        toast(page, last.error)
        page.unsent = (sent or page.unsent) if last.state == "failed" else None
    page.answered = sent if not page.unsent else None
    page.unsettled += bool(page.unsent)
    yield idle(page)


def reject(page: Page, error: AppError) -> View:
    """Say why nothing was done; what was typed stays."""
    toast(page, error)
    if page.session.busy:
        return unchanged()
    page.rejected = error
    return idle(page)


def idle(page: Page) -> View:
    """The page while no answer is written."""
    return transcript(page), gr.update(loading=False), gr.update(visible=True), gr.update(visible=False), page.unsettled


def shown(page: Page) -> View:
    """The conversation alone; an answer being written goes on."""
    return transcript(page), *unchanged()[1:]


def unchanged() -> View:
    """Nothing new."""
    return tuple(gr.skip() for _ in range(5))


def stopped(page: Page) -> View:
    """The page once the answer that was cancelled has ended."""
    deadline = monotonic() + STOP_PATIENCE
    while page.session.busy and monotonic() < deadline:
        sleep(INTERVAL / 4)
    return idle(page)


def settle(page: Page, box: Draft) -> Any:
    """Put a message whose answer failed back into the empty box, and take it out again once it is answered.

    A message that was answered is taken out too: a slow browser loses the update that emptied the box.
    """
    unsent, turns = page.unsent, page.session.turns
    if not unsent:
        if box != page.answered:
            return gr.skip()
        page.answered = None
        return gr.update(value=None)
    if turns and turns[-1].state == "failed":
        return gr.skip() if box.text or box.files else gr.update(value=draft_value(unsent))
    page.unsent = None
    return gr.update(value=None) if box == unsent else gr.skip()


def toast(page: Page, error: AppError) -> None:
    """Show an error without raising it, which would lose what is on the page."""
    gr.Warning(html.escape(translated(error.said, page.locale)), title=say("failed", page.locale))


def _running(page: Page, *, first: bool, empty_box: bool) -> View:
    if not first:  # the box is left alone, for the user may be typing
        return shown(page)
    box = gr.update(value=None, loading=True) if empty_box else gr.update(loading=True)
    return transcript(page), box, gr.update(visible=False), gr.update(visible=True), gr.skip()


def _noted(page: Page, updates: Updates) -> Iterator[Update]:
    for update in updates:
        page.progress = None if update.turn.answer else update.chunk.progress or page.progress
        yield update


def paced(updates: Iterator[Update]) -> Iterator[Update]:
    """At most one update per interval; the first at once, and the first that has text, which is waited for.

    The interval grows with what of the last part, which is set anew each time, is beyond `LONG`, with the time that an
    update takes here, since all of a long answer is looked through, and in the queue with the place there: where many
    wait, their updates would take the processor from those who are answered.

    What is left out shows in the next: turns change in place.
    """
    last, interval, silent = 0.0, 0.0, True
    for update in updates:
        now = monotonic()
        begins = silent and bool(update.chunk.text or update.chunk.thinking)
        if begins or now - last >= interval:
            last, silent = now, silent and not begins
            yield update
            # Of what is shown alone: the parts of a long answer take far longer than a token.
            interval = max(_interval(update), min(REST * (monotonic() - now), LONGEST))


def _interval(update: Update) -> float:
    """Seconds until the next update."""
    last_part = len(parts_of(update.turn.answer)[-1])
    return INTERVAL * max(1.0, last_part / LONG, min(_place(update), FAR))


def _place(update: Update) -> int:
    """Where an answer stands in the queue; 0 if it stands in none."""
    progress = update.chunk.progress
    return progress.done if progress is not None and progress.stage == "queue" else 0
