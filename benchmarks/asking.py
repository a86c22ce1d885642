"""What the benchmarks of the engines share."""

from __future__ import annotations

from app.engine.tickets import Ticket, drain
from app.errors import AppError
from app.messages import Usage


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
