"""The plain engine: one thread owns the model and answers one request after another, in the order they came."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, Queue
from time import monotonic

import torch

from app.engine.answer import Job, answer
from app.engine.caches import Caches, auto_bytes
from app.engine.loader import LoadedModel
from app.errors import AppError, BackendBusyError, GenerationError, OutOfMemoryError
from app.media.clip import Cancelled
from app.media.video import Reader
from app.messages import Chunk, Message
from app.sampling import SamplingParams

log = logging.getLogger(__name__)

MAX_WAITING = 64


@dataclass(slots=True, eq=False)
class Ticket:
    """A request in the engine: where its chunks come out, and how to call it off.

    The last event is a chunk with a finish reason, or the error that ended the answer.

    Attributes:
        begun: some of the answer's text has come out.
    """

    messages: Sequence[Message]
    params: SamplingParams
    events: Queue[Chunk | AppError] = field(default_factory=Queue)
    submitted: float = field(default_factory=monotonic)
    begun: bool = False
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def emit(self, chunk: Chunk) -> None:
        """Hand out a chunk."""
        self.begun = self.begun or bool(chunk.text or chunk.thinking)
        self.events.put(chunk)

    def cancel(self) -> None:
        """End the work within one token; nothing comes out any more."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self._cancelled.is_set()


class PlainEngine:
    """Serves a loaded model.

    Args:
        loaded: the model; nothing else may use it from now on.
        video_reader: the library that decodes videos.
        cache_bytes: of the device's memory, for what is kept between answers; None takes a share of what is free.
    """

    def __init__(self, loaded: LoadedModel, video_reader: Reader = "pyav", cache_bytes: int | None = None) -> None:
        self._loaded = loaded
        self._caches = Caches.of(loaded.runner, auto_bytes(loaded.device) if cache_bytes is None else cache_bytes)
        self._video_reader = video_reader
        self._waiting: list[Ticket] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="plain-engine", daemon=True)
        self._thread.start()

    def submit(self, messages: Sequence[Message], params: SamplingParams) -> Ticket:
        """Queue a request.

        Raises:
            BackendBusyError: too many wait already.
        """
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                raise BackendBusyError(
                    f"{len(self._waiting)} requests wait already, which is the most allowed.", "Try again in a while."
                )
            ticket = Ticket(messages, params)
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def position(self, ticket: Ticket) -> int:
        """How many requests wait before this one, itself included; 0 once it is being answered."""
        with self._changed:
            return self._waiting.index(ticket) + 1 if ticket in self._waiting else 0

    def close(self) -> None:
        """Answer nothing any more; returns when the thread has ended."""
        with self._changed:
            self._closed = True
            for ticket in self._waiting:
                ticket.cancel()
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        while (ticket := self._next()) is not None:
            self._answer(ticket)

    def _next(self) -> Ticket | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.pop(0)

    def _answer(self, ticket: Ticket) -> None:
        """Run one request; whatever happens to it, the engine goes on."""
        job = Job(
            ticket.messages,
            ticket.params,
            ticket.emit,
            lambda: ticket.cancelled or self._closed,
            ticket.submitted,
        )
        try:
            job.check()
            # Before anything is computed; what is kept between answers is told apart by adapter.
            self._loaded.adapters.use(ticket.params.adapter)
            self._write(ticket, job)
        except Cancelled:
            ticket.events.put(GenerationError("The answer was cancelled."))
        except AppError as error:
            ticket.events.put(error)
        except Exception as error:
            ticket.events.put(_typed(error))
            # The traceback's frames hold tensors; without it the memory of the failed answer is free again.
            error.__traceback__ = None
            _free_device()

    def _write(self, ticket: Ticket, job: Job) -> None:
        """Answer; where memory runs out before there was text, once more without what was kept."""
        try:
            answer(self._loaded, job, self._caches, self._video_reader)
        except Exception as error:
            if ticket.begun or not _is_out_of_memory(error) or not self._caches.clear_device():
                raise
            error.__traceback__ = None
        else:
            return
        _free_device()
        answer(self._loaded, job, self._caches, self._video_reader)


def drain(ticket: Ticket, timeout: float) -> list[Chunk | AppError]:
    """All events there are, waiting at most `timeout` seconds for the first."""
    try:
        events = [ticket.events.get(timeout=timeout)]
    except Empty:
        return []
    while True:
        try:
            events.append(ticket.events.get_nowait())
        except Empty:
            return events


def _typed(error: Exception) -> AppError:
    """An unexpected error as one a user can read; its text, which may quote the prompt, is not repeated."""
    if _is_out_of_memory(error):
        return OutOfMemoryError(
            "The device ran out of memory.",
            "Use fewer images or frames, fewer slices per image, or a shorter conversation; then regenerate.",
        )
    log.warning("An answer failed with %s.", type(error).__name__)
    return GenerationError(
        f"The model failed while it answered ({type(error).__name__}).", "Regenerate, or start a new conversation."
    )


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # CPU and MPS allocators raise plain RuntimeErrors.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def _free_device() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
