"""Whether the model still answers: failures in a row tell that it does not."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from app.backends.base import Backend, LoadStatus
from app.backends.passing import PassingBackend
from app.errors import BackendBusyError, GenerationError, ModelError, OutOfMemoryError
from app.messages import Chunk, Message
from app.sampling import SamplingParams
from app.texts import Phrase

MOST_FAILURES = 3  # in a row; a GPU in error fails every answer from then on


class WatchedBackend(PassingBackend):
    """The same backend, its failures counted."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._failures = 0

    def status(self) -> LoadStatus:
        """That of the backend; failed once too many answers in a row did."""
        if self._failures >= MOST_FAILURES:
            return LoadStatus("failed", Phrase("answers_failed", count=self._failures))
        return super().status()

    def check(self) -> None:
        """Raise a `ModelError` if no answers can be had."""
        status = self.status()
        if status.state == "failed":
            raise ModelError(Phrase("model_silent", detail=status.detail))

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        """Pass the backend's chunks on; see `Backend.stream`."""
        try:
            with closing(self._backend.stream(messages, params, user)) as chunks:
                for chunk in chunks:
                    if chunk.finish_reason:
                        self._failures = 0
                    yield chunk
        except (BackendBusyError, OutOfMemoryError):
            raise  # which pass, and say nothing of the next answer
        except GenerationError:
            self._failures += 1
            raise
