"""The plain engine: one thread owns the model and answers one request after another, in the order they came."""

from __future__ import annotations

import threading

from app.engine.answer import Job, answer
from app.engine.caches import Caches, auto_bytes
from app.engine.failures import ending_of, with_relief
from app.engine.loader import LoadedModel
from app.engine.tickets import Queued, Ticket
from app.media.video import Reader


class PlainEngine(Queued):
    """Serves a loaded model.

    Args:
        loaded: the model; nothing else may use it from now on.
        video_reader: the library that decodes videos.
        cache_bytes: of the device's memory, for what is kept between answers; None takes a share of what is free.
    """

    def __init__(self, loaded: LoadedModel, video_reader: Reader = "pyav", cache_bytes: int | None = None) -> None:
        super().__init__()
        self._loaded = loaded
        self._caches = Caches.of(loaded.runner, auto_bytes(loaded.device) if cache_bytes is None else cache_bytes)
        self._video_reader = video_reader
        self._thread = threading.Thread(target=self._serve, name="plain-engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nothing any more; returns when the thread has ended."""
        self._line.close()
        self._thread.join()

    def _serve(self) -> None:
        while (ticket := self._line.next()) is not None:
            self._answer(ticket)

    def _answer(self, ticket: Ticket) -> None:
        """Run one request; whatever happens to it, the engine goes on."""
        job = Job(
            ticket.messages,
            ticket.params,
            ticket.emit,
            lambda: ticket.cancelled or self._line.closed,
            ticket.submitted,
        )
        try:
            job.check()
            # Before anything is computed; what is kept between answers is told apart by adapter.
            self._loaded.adapters.use(ticket.params.adapter)
            self._write(ticket, job)
        except Exception as error:
            ticket.events.put(ending_of(error))

    def _write(self, ticket: Ticket, job: Job) -> None:
        """Answer; where memory runs out before there was text, once more without what was kept."""
        with_relief(
            lambda: answer(self._loaded, job, self._caches, self._video_reader),
            lambda: ticket.begun,
            [self._caches.clear_device],
        )
