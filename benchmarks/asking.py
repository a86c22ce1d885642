"""What the benchmarks of the engines share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.engine.choose import Engine
from app.engine.tickets import Ticket, drain
from app.errors import AppError
from app.messages import Message, Usage
from app.sampling import SamplingParams


def greedy(new_tokens: int, **more: Any) -> SamplingParams:
    """Options of answers that are all equally long: the end token is put off."""
    return SamplingParams(do_sample=False, num_beams=1, max_new_tokens=new_tokens, min_new_tokens=new_tokens, **more)


def ask(engine: Engine, messages: Sequence[Message], params: SamplingParams) -> Usage:
    """What one answer cost.

    Raises:
        AppError: it failed.
    """
    return usage_of(engine.submit(messages, params))


def usage_of(ticket: Ticket) -> Usage:
    """What an answer cost, once it is complete.

    Raises:
        AppError: it failed.
    """
    while True:
        for event in drain(ticket, 1.0):
            if isinstance(event, AppError):
                raise event
            if event.usage:
                return event.usage
