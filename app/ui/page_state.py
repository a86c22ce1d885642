"""What one open page keeps on the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from app.errors import AppError
from app.messages import FrameChoice, Progress
from app.session import Session
from app.ui.payloads import Draft
from app.ui.texts import Locale


def new_id() -> str:
    """A name for a conversation, 32 digits in hex."""
    return uuid4().hex


@dataclass(eq=False)
class Page:
    """One open page.

    Attributes:
        progress: what the answer being written waits for.
        rejected: why the last message was not sent, until the next action.
        unsent: a message whose answer failed, to be put back into an empty message box.
        answered: the last message that was answered; the box of a slow browser may still show it.
        choices: which frames of attached clips are wanted.
        unsettled: grows whenever the message box has to be looked at because of `unsent`.
        talk: the name of the conversation in the browser's store.
        cleared: names of conversations that were cleared away here.
    """

    session: Session = field(default_factory=Session)
    locale: Locale = "en"
    progress: Progress | None = None
    rejected: AppError | None = None
    unsent: Draft | None = None
    answered: Draft | None = None
    unsettled: int = 0
    choices: dict[Path, FrameChoice] = field(default_factory=dict)
    talk: str = field(default_factory=new_id)
    cleared: list[str] = field(default_factory=list)

    def __deepcopy__(self, memo: dict[int, Any]) -> Page:
        # Gradio copies the initial value for every page that is opened.
        return Page()
