"""Buttons with what would fit: in the line under the message box, and in a turn that ran out of room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.errors import AppError, ContextLengthError, OutOfMemoryError
from app.meter import Fix
from app.talks import failure
from app.turn import Turn
from app.ui.bridge import not_understood, whole_number
from app.ui.texts import Locale, say


def read_fix(call: Mapping[str, Any]) -> Fix:
    """What a button asks for.

    Raises:
        RequestError: no such thing, or out of range.
    """
    fix = failure.read_fix(call.get("kind"), whole_number(call, "value"))
    if fix is None:
        raise not_understood()
    return fix


def fix_buttons(fixes: Sequence[Fix], locale: Locale) -> str:
    """A button for each."""
    return "".join(button(say(f"fix_{fix.kind}", locale, value=fix.value), fix.kind, fix.value) for fix in fixes)


def button(text: str, kind: str, value: int = 0) -> str:
    """One button; meter_panel.js reads from its classes, all that a message's HTML may have, what it stands for."""
    return f'<button type="button" class="fix fix--{kind}--{value}">{escape(text)}</button>'


def failed_turn(turn: Turn, error: AppError, locale: Locale) -> str | None:
    """The buttons of a turn for which there was no room; None if it failed otherwise."""
    if not isinstance(error, (OutOfMemoryError, ContextLengthError)) or turn.params is None:
        return None
    buttons = fix_buttons(turn.fixes, locale)
    return f'<div class="fix-row">{buttons}{button(say("retry", locale), "retry")}</div>'
