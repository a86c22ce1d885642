"""A backend whose answers are counted."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from app.api.metrics import Metrics
from app.backends.base import Backend
from app.backends.passing import PassingBackend
from app.messages import Chunk, Message
from app.sampling import SamplingParams


class MeteredBackend(PassingBackend):
    """The same backend, its answers counted for one source.

    Args:
        source: "page" or "api".
    """

    def __init__(self, backend: Backend, metrics: Metrics, source: str) -> None:
        super().__init__(backend)
        self._metrics = metrics
        self._source = source

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        """Pass the backend's chunks on; see `Backend.stream`."""
        metrics, source = self._metrics, self._source
        running = metrics.running.labels(source)
        waiting = metrics.waiting.labels(source)
        running.inc()
        end, in_queue = "error", False
        try:
            with closing(self._backend.stream(messages, params, user)) as chunks:
                for chunk in chunks:
                    queued = chunk.progress is not None and chunk.progress.stage == "queue"
                    if queued != in_queue:
                        in_queue = queued
                        waiting.inc(1 if queued else -1)
                        running.inc(-1 if queued else 1)
                    if chunk.usage:
                        metrics.count(source, chunk.usage)
                    end = chunk.finish_reason or end
                    yield chunk
        except GeneratorExit:
            end = end if end in ("stop", "length") else "cancelled"
            raise
        finally:
            metrics.answers.labels(source, end).inc()
            (waiting if in_queue else running).dec()
