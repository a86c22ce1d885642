"""Likes and dislikes with a reason, where the server was started with a file for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import gradio as gr

from app.backends.base import Backend
from app.errors import AppError
from app.feedback import FeedbackFile, Rating
from app.placement import marked_text
from app.turn import Turn
from app.ui import answering, payloads
from app.ui.context import PRIVATE
from app.ui.labels import Label
from app.ui.page_state import Page
from app.ui.texts import say
from app.ui.transcript import turn_at

LONGEST_REASON = 2000  # characters


def add_feedback(page: gr.State, chatbot: Any, label: Label, file: FeedbackFile, backend: Backend) -> Any:
    """A row for the reason, shown once an answer was rated; returns the event of a rating."""
    with gr.Row(visible=False, elem_classes="feedback-row") as row:
        reason = gr.Textbox(label=label("feedback_reason"), max_length=LONGEST_REASON, max_lines=3)
        send = gr.Button(label("feedback_send"), size="sm")
    rating = gr.State(None)
    handlers = RatingHandlers(file, backend)
    # The component marks the answer at each click, those that follow fast among them.
    rated = chatbot.like(handlers.rate, page, [row, reason, rating], trigger_mode="multiple", **PRIVATE)
    for trigger in (send.click, reason.submit):
        trigger(handlers.explain, [page, rating, reason], row, **PRIVATE)
    return rated


class RatingHandlers:
    """What the events of the row do."""

    def __init__(self, file: FeedbackFile, backend: Backend) -> None:
        self._file = file
        self._backend = backend

    def rate(self, page: Page, data: gr.EventData) -> tuple[Any, Any, Any]:
        """Keep a like or a dislike, and ask why; the same once more takes it back."""
        try:
            turn, _ = turn_at(page.session, payloads.message_index(data._data))
            before, liked = turn.rating, payloads.liked(data._data)
            again = before is not None and before.liked == liked
            rating = Rating(before.id if before else uuid4().hex, None if again else liked)
            self._file.add(self._record(turn, rating))
            page.session.rate(turn.key, rating)
        except AppError as error:
            answering.toast(page, error)
            return gr.skip(), gr.skip(), gr.skip()
        return gr.update(visible=not again), "", None if again else rating.id

    def explain(self, page: Page, rating: str | None, reason: str) -> Any:
        """Keep the reason: another record of the same id."""
        try:
            if rating and reason.strip():
                self._file.add({"id": rating, "reason": reason.strip()[:LONGEST_REASON]})
        except AppError as error:
            answering.toast(page, error)
            return gr.skip()
        gr.Info(say("feedback_thanks", page.locale))
        return gr.update(visible=False)

    def _record(self, turn: Turn, rating: Rating) -> dict[str, Any]:
        return {
            "id": rating.id,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": self._backend.capabilities.model,
            "liked": rating.liked,
            "question": marked_text(turn.user.content),
            "answer": turn.answer,
        }
