"""A backend in front of another one, to which everything is passed that a subclass does not change."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from app.backends.base import Backend, Capabilities, LoadStatus
from app.messages import Chunk, Message
from app.meter import Measured
from app.sampling import SamplingParams
from app.seen import Seen


class PassingBackend(Backend):
    """The same backend.

    Args:
        backend: what answers; started and closed with this one.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def capabilities(self) -> Capabilities:
        """Those of the backend."""
        return self._backend.capabilities

    @property
    def settled(self) -> bool:
        """As the backend; see `Backend.settled`."""
        return self._backend.settled

    def start(self) -> None:
        """Start the backend."""
        self._backend.start()

    def status(self) -> LoadStatus:
        """That of the backend."""
        return self._backend.status()

    def close(self) -> None:
        """Close the backend."""
        self._backend.close()

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        """Pass the backend's chunks on; see `Backend.stream`."""
        return self._backend.stream(messages, params, user)

    def inspect(self, messages: Sequence[Message], params: SamplingParams) -> Seen | None:
        """As the backend; see `Backend.inspect`."""
        return self._backend.inspect(messages, params)

    def measure(self, messages: Sequence[Message], params: SamplingParams) -> Measured | None:
        """As the backend; see `Backend.measure`."""
        return self._backend.measure(messages, params)
