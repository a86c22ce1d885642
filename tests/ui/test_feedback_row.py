"""A rating is kept and shown until it is taken back."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr

from app.backends.echo import EchoBackend
from app.feedback import FeedbackFile
from app.messages import Message
from app.turn import Turn
from app.ui.feedback_row import RatingHandlers
from app.ui.page_state import Page
from app.ui.transcript import transcript


def click(liked: bool) -> gr.EventData:
    return gr.EventData(None, {"payload": [{"index": 1, "liked": liked}]})


def shown(page: Page) -> str | None:
    return transcript(page)[1].get("meta", {}).get("feedback")


def test_the_same_click_again_takes_a_rating_back(tmp_path: Path) -> None:
    page, handlers = Page(), RatingHandlers(FeedbackFile(tmp_path / "likes.jsonl"), EchoBackend())
    page.session.turns = [Turn(Message.of("user", "hi"), "ho", "done")]
    for liked, mark in ((True, "like"), (True, None), (True, "like"), (False, "dislike"), (False, None)):
        row, _, rating = handlers.rate(page, click(liked))
        assert shown(page) == mark
        assert row["visible"] == bool(mark) == bool(rating)
    records = [json.loads(line) for line in (tmp_path / "likes.jsonl").read_text("utf-8").splitlines()]
    assert [record["liked"] for record in records] == [True, None, True, False, None]
    assert len({record["id"] for record in records}) == 1
