"""The lent engine: each answer is written in another process, which has a GPU only while it answers.

So works Hugging Face's ZeroGPU, by its package `spaces`. This process holds the weights and never a GPU. A decorated
generator runs in a fork of it: question and chunks travel pickled, and the fork may serve further answers while its GPU
stays lent, so it keeps a plain engine with its caches.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from contextvars import copy_context
from importlib import import_module
from math import ceil
from statistics import median

from app.engine.loader import LoadedModel
from app.engine.plain import PlainEngine
from app.engine.tickets import Place, Ticket, drain
from app.errors import AppError, GenerationError
from app.media.video import Reader
from app.messages import Chunk, Message, Progress
from app.meter import Measured
from app.sampling import SamplingParams
from app.texts import Phrase

TICK = 0.08  # seconds between signs of life, at which the fork looks whether anybody still waits
START = 10.0  # seconds in which the weights reach the GPU
SHORTEST, LONGEST = 15, 120  # seconds to ask for; more than a visitor has left is refused
# What is assumed of a GPU nothing is known of: tokens of a prompt, slices of pictures and new tokens per second.
PROMPT_RATE, SLICE_RATE, RATE = 1000.0, 8.0, 20.0
REMEMBERED = 8  # answers whose rates foretell the next one's

Measure = Callable[[Sequence[Message], SamplingParams], Measured | None]


class LentEngine:
    """Serves a loaded model on GPUs that are lent for one answer at a time; build it before the page is launched.

    Args:
        loaded: the model. This process may measure with it and never computes with it.
        measure: what an answer takes.
        cache_bytes: as in `PlainEngine`.
    """

    def __init__(self, loaded: LoadedModel, measure: Measure, video_reader: Reader, cache_bytes: int | None) -> None:
        self._loaded, self._measure = loaded, measure
        self._video_reader, self._cache_bytes = video_reader, cache_bytes
        self._rates: deque[float] = deque(maxlen=REMEMBERED)
        self._engine: PlainEngine | None = None  # of the fork
        self._lent = import_module("spaces").GPU(self._answer, duration=self._seconds)

    def submit(self, messages: Sequence[Message], params: SamplingParams, user: str = "") -> Ticket:
        """Ask for a GPU and answer on it."""
        ticket = Ticket(messages, params, user)
        # Whose GPU time is spent is told by the request, which belongs to the caller's context.
        follow = copy_context().run
        threading.Thread(target=follow, args=(self._follow, ticket), name="lent-gpu", daemon=True).start()
        return ticket

    def place(self, ticket: Ticket) -> Place | None:
        """None: the line is elsewhere, and nobody tells the place in it."""
        return None

    def cancel(self, ticket: Ticket) -> None:
        """Call a request off: its work ends within one token, or when its GPU comes."""
        ticket.cancel()

    @property
    def has_ended(self) -> bool:
        """Never: each answer has a process of its own."""
        return False

    def close(self) -> None:
        """The forks end with this process."""

    def _follow(self, ticket: Ticket) -> None:
        """Bring what the fork yields to the ticket."""
        ticket.emit(Chunk(progress=Progress("queue")))
        try:
            with closing(self._lent(ticket.messages, ticket.params)) as events:
                for event in events:
                    if ticket.cancelled:
                        return
                    self._learn(event)
                    ticket.events.put(event)
        except Exception as error:
            ticket.events.put(_refused(error))

    def _answer(self, messages: Sequence[Message], params: SamplingParams) -> Generator[Chunk | AppError, None, None]:
        """In the fork: the answer's chunks, or the error that ended it."""
        self._engine = self._engine or PlainEngine(self._loaded, self._video_reader, self._cache_bytes)
        ticket = self._engine.submit(messages, params)
        try:
            while True:
                for event in drain(ticket, TICK) or [Chunk()]:
                    yield event
                    if isinstance(event, AppError) or event.finish_reason:
                        return
        finally:
            self._engine.cancel(ticket)

    def _seconds(self, messages: Sequence[Message], params: SamplingParams) -> int:
        """For how long to ask for a GPU; what is wrong with a request, its answer says."""
        measured = None
        with suppress(AppError):
            measured = self._measure(messages, params)
        return gpu_seconds(measured, params.max_new_tokens, median(self._rates) if self._rates else RATE)

    def _learn(self, event: Chunk | AppError) -> None:
        usage = event.usage if isinstance(event, Chunk) else None
        if usage is not None and usage.tokens_per_second:
            self._rates.append(usage.tokens_per_second)


def gpu_seconds(measured: Measured | None, new_tokens: int, rate: float) -> int:
    """Seconds that an answer takes at most, from a fork without anything kept to its last token.

    Args:
        measured: of the request; None is taken as nothing.
        new_tokens: the most the answer may have.
        rate: new tokens per second.
    """
    seconds = START + new_tokens / rate
    if measured is not None:
        seconds += measured.tokens / PROMPT_RATE + measured.slices / SLICE_RATE
    return min(LONGEST, max(SHORTEST, ceil(seconds)))


def _refused(error: Exception) -> GenerationError:
    """What the package raises for the visitor to read has a message; anything else is told by its kind."""
    told = [str(text) for name in ("title", "message") if (text := getattr(error, name, ""))]
    what = ": ".join(told) or type(error).__name__
    return GenerationError(Phrase("gpu_not_lent", why=what.rstrip(". ")), Phrase("do_ask_less"))
