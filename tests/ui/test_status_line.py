"""What the line under the title says while a model loads."""

from __future__ import annotations

from typing import Any

from app.backends.base import LoadStatus
from app.texts import Phrase
from app.ui.status_line import status_html


class Loading:
    def __init__(self, status: LoadStatus) -> None:
        self.status: Any = lambda: status


def test_what_is_done_is_said_in_both_languages() -> None:
    compiling: Any = Loading(LoadStatus("loading", Phrase("loading_compiling")))
    assert "It is being compiled" in status_html(compiling, "en") and "正在编译" in status_html(compiling, "zh")
    weights: Any = Loading(LoadStatus("loading", Phrase("loading_weights"), 0.5))
    assert "weights 50%" in status_html(weights, "en") and "权重 50%" in status_html(weights, "zh")
