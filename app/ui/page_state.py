"""What one open page keeps on the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.errors import AppError
from app.messages import Progress
from app.session import Session
from app.ui.payloads import Draft
from app.ui.texts import Locale


@dataclass(eq=False)
class Page:
    """One open page.

    Attributes:
        progress: what the answer being written waits for.
        rejected: why the last message was not sent, until the next action.
        unsent: a message whose answer failed, to be put back into an empty message box.
        unsettled: grows whenever the message box has to be looked at because of `unsent`.
    """

    session: Session = field(default_factory=Session)
    locale: Locale = "en"
    progress: Progress | None = None
    rejected: AppError | None = None
    unsent: Draft | None = None
    unsettled: int = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Page:
        # Gradio copies the initial value for every page that is opened.
        return Page()
