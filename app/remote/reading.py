"""An engine's answer, piece by piece, and what it cost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, get_args

from app.messages import FinishReason, Progress, Stage, TokenLogprob, Usage
from app.remote.failures import BrokenOff
from app.remote.logprobs import read_logprobs

SHORTEST = 0.01  # seconds between the first piece and the last, below which a rate would be that of the network
LONGEST_WAIT = 7 * 24 * 3600  # seconds that are believed of a place in a queue
CUT_SHORT = ("abort", "error")  # engines that give up say so as a reason for the end


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event of a stream brings."""

    text: str = ""
    thinking: str = ""
    finish_reason: FinishReason | None = None
    usage: Any = None
    progress: Progress | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


async def read_stream(events: Any) -> AsyncIterator[Piece]:
    """The pieces of a stream that have something in them.

    Engines send a role first, empty texts, a usage without choices, and some never say that they are done: an answer
    is complete when it has given a reason for its end.

    Args:
        events: the client's stream.

    Raises:
        BrokenOff: the stream ended before the answer did.
    """
    ended = False
    async for event in events:
        piece = read_event(event)
        ended = ended or piece.finish_reason is not None
        if piece != Piece():
            yield piece
    if not ended:
        raise BrokenOff


def read_event(event: Any) -> Piece:
    """One event of a stream, or a whole answer.

    Raises:
        BrokenOff: it says that the engine gave up.
    """
    choices = getattr(event, "choices", None) or []
    usage = getattr(event, "usage", None)
    if not choices:
        return Piece(usage=usage, progress=read_progress(getattr(event, "progress", None)))
    choice = choices[0]
    said = getattr(choice, "delta", None) or getattr(choice, "message", None)
    reason = getattr(choice, "finish_reason", None)
    if reason in CUT_SHORT:
        raise BrokenOff
    thinking = getattr(said, "reasoning_content", None) or getattr(said, "reasoning", None)
    return Piece(
        text=getattr(said, "content", None) or "",
        thinking=thinking if isinstance(thinking, str) else "",
        finish_reason=None if reason is None else "length" if reason == "length" else "stop",
        usage=usage,
        logprobs=read_logprobs(getattr(choice, "logprobs", None)),
    )


def read_progress(told: Any) -> Progress | None:
    """How far our own endpoint says it is, as a stranger's word; None if it says nothing of use."""
    stage: Any = told.get("stage") if isinstance(told, Mapping) else None
    if stage not in get_args(Stage):
        return None
    done, total, seconds = (told.get(name) for name in ("done", "total", "seconds"))
    known = type(seconds) in (int, float) and 0 <= seconds <= LONGEST_WAIT
    return Progress(stage, _count_of(done), _count_of(total), float(seconds) if known else None)


def _count_of(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


class Meter:
    """Times an answer as the user sees it, and counts its pieces for engines that do not count tokens."""

    def __init__(self) -> None:
        self._asked = monotonic()
        self._first: float | None = None
        self._last = 0.0
        self._gap: float | None = None
        self._pieces = 0

    @property
    def started(self) -> bool:
        """Whether anything came."""
        return self._pieces > 0

    def tick(self) -> None:
        """A piece of text came."""
        now = monotonic() - self._asked
        self._pieces += 1
        if self._first is None:
            self._first = now
        else:
            self._gap = max(self._gap or 0.0, now - self._last)
        self._last = now

    def usage(self, told: Any) -> Usage:
        """What the answer cost.

        Args:
            told: the engine's own count, or None.
        """
        new = getattr(told, "completion_tokens", None) or self._pieces
        details = getattr(told, "prompt_tokens_details", None)
        since_first = self._last - (self._first or 0.0)
        return Usage(
            prompt_tokens=getattr(told, "prompt_tokens", None) or 0,
            vision_tokens=_count(details, "image_tokens", "multimodal_tokens", "vision_tokens"),
            cached_tokens=_count(details, "cached_tokens") or 0,
            new_tokens=new,
            ttft=self._first,
            tokens_per_second=(new - 1) / since_first if new > 1 and since_first >= SHORTEST else None,
            longest_gap=self._gap,
        )


def _count(details: Any, *names: str) -> int | None:
    """The first of these counts that is told."""
    for name in names:
        value = getattr(details, name, None)
        if isinstance(value, int):
            return value
    return None
