"""The replicas as seen from the ingress: ask one, ask all, and know when one is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.client import ClientGone, unless_gone
from app.api.completion import DONE, error_event
from app.api.errors import RETRY_AFTER, ApiError, unexpected
from app.errors import AppError, BackendBusyError
from app.replicas.numbers import Numbers
from app.replicas.prelude import END, Prelude
from app.replicas.routing import session_of
from app.replicas.tunnel import Asked, Head
from app.texts import Phrase

PATIENCE = 3.0  # seconds for a question to all replicas; clients that look whether the server lives wait 5
TRIES = 2  # of a request whose replica was lost before it said anything
EVENTS = b"text/event-stream"
REPLICA = b"x-replica"  # the header that names the replica

Pieces = AsyncGenerator[str | Head | bytes, None]


class Replicas:
    """All replicas of the model.

    Args:
        handle: of Ray Serve, to their deployment.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._answers = handle.options(method_name="answer", stream=True)

    async def reply(self, conversation: str, asked: Asked) -> Response:
        """The reply of the conversation's replica; a stream goes on behind it.

        Raises:
            AppError: none can be had.
        """
        avoided: list[str] = []
        for number in range(TRIES):
            last = number == TRIES - 1
            pieces = self._pieces(conversation, asked, avoided)
            streaming = False
            try:
                name = await anext(pieces)
                assert isinstance(name, str)
                avoided = [*avoided, name]
                head = await anext(pieces)
                assert isinstance(head, Head)
                if _streams(head):
                    streaming = True
                    again = None if last else partial(self._pieces, conversation, asked, avoided)
                    return Relay(name, head, pieces, again)
                # All of it first: until then another replica can be asked.
                body = await _whole(pieces)
                if last or not _has_failed(head, body):
                    return Whole(name, head, body)
            except ReplicaLost:
                if last:
                    raise
            finally:
                if not streaming:
                    await pieces.aclose()
        raise ReplicaLost

    async def numbers(self) -> list[Numbers]:
        """Those of every replica that says them in time."""
        return [each for each in await self._all("numbers") if isinstance(each, Numbers)]

    async def states(self) -> list[str]:
        """How every replica is, "ready" or in words."""
        return [each if isinstance(each, str) else "it does not answer" for each in await self._all("state")]

    async def _all(self, method: str) -> list[Any]:
        """What each replica returns, or the exception that it raises."""
        try:
            told: list[Any] = await self._handle.broadcast(method).results_async(
                timeout_s=PATIENCE, return_exceptions=True
            )
        except (TimeoutError, DeploymentUnavailableError):
            return []
        return told

    async def _pieces(self, conversation: str, asked: Asked, avoided: Sequence[str]) -> Pieces:
        """A replica's reply, not of one to avoid if there are others; the replica stops when this is closed.

        Raises:
            AppError: none can be had.
        """
        answer = self._answers.options(session_id=session_of(conversation, avoided)).remote(asked)
        del asked  # its body is Ray's now; the answer may take long
        try:
            async for piece in answer:
                yield piece
        except BackPressureError:
            raise BackendBusyError(Phrase("queue_full"), Phrase("do_again_later")) from None
        except DeploymentUnavailableError:
            raise ApiError("No replica of the model runs.", "Ask again in a while.", 503, "model_loading",
                           headers={"Retry-After": str(RETRY_AFTER)}) from None  # fmt: skip
        except RayActorError:
            raise ReplicaLost from None
        except RayTaskError as cause:
            raise unexpected(cause) from None
        finally:
            with suppress(RequestCancelledError):
                answer.cancel()


class ReplicaLost(ApiError):
    """The process of a replica ended while it answered."""

    def __init__(self) -> None:
        super().__init__(
            "The replica that wrote this answer has ended.", "Ask again: another one answers.", 503, "replica_lost",
            headers={"Retry-After": "1"},
        )  # fmt: skip


class Whole(Response):
    """A reply that is complete."""

    def __init__(self, name: str, head: Head, body: bytes) -> None:
        super().__init__(body, head.status)
        self.raw_headers = _raw(name, head)


class Relay(Response):
    """A reply that streams: events as they come.

    If the replica is lost before any of the answer was sent, another one answers; later, the last event says so.

    Args:
        again: asks another replica, and gives its reply's pieces; None if that was done already.
    """

    def __init__(self, name: str, head: Head, pieces: Pieces, again: Callable[[], Pieces] | None = None) -> None:
        super().__init__(status_code=head.status)
        self.raw_headers = _raw(name, head)
        self._pieces = pieces
        self._again = again
        self._held = ExitStack()

    def hold(self, held: ExitStack) -> None:
        """Take over what the request's body holds, and close it as soon as nobody can be asked again."""
        self._held = held
        if self._again is None:
            held.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until all is sent or the client hangs up, which ends the generation."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            with suppress(ClientGone):
                await unless_gone(receive, self._send(send))
        finally:
            self._forget_request()
            await self._pieces.aclose()

    async def _send(self, send: Send) -> None:
        async for body in self._bodies():
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _bodies(self) -> AsyncIterator[bytes]:
        try:
            try:
                async for body in self._first():
                    yield body
            except ReplicaLost:
                if self._again is None:
                    raise
                async for body in self._second(self._again()):
                    yield body
        except AppError as error:
            yield (error_event(error) + DONE).encode()

    async def _first(self) -> AsyncIterator[bytes]:
        """What the first replica sends; from the answer's beginning on no other one can be asked."""
        prelude = Prelude()
        async for piece in self._pieces:
            body = prelude.passed(piece) if isinstance(piece, bytes) else b""
            if prelude.over:
                self._forget_request()
            if body:
                yield body
        if rest := prelude.rest():
            yield rest

    async def _second(self, pieces: Pieces) -> AsyncIterator[bytes]:
        """What another replica sends; where it refuses, its error as an event."""
        self._pieces, self._again = pieces, None
        _, head = await anext(pieces), await anext(pieces)
        self._forget_request()
        assert isinstance(head, Head)
        if not _streams(head):
            yield b"data: " + await _whole(pieces) + END + DONE.encode()
            return
        async for piece in pieces:
            if isinstance(piece, bytes):
                yield piece

    def _forget_request(self) -> None:
        self._again = None
        self._held.close()


async def _whole(pieces: Pieces) -> bytes:
    return b"".join([piece async for piece in pieces if isinstance(piece, bytes)])


def _streams(head: Head) -> bool:
    return next((value for key, value in head.headers if key.lower() == b"content-type"), b"").startswith(EVENTS)


def _has_failed(head: Head, body: bytes) -> bool:
    """Whether the replica's model answers nobody any more; Ray replaces it within seconds."""
    if head.status != 503:
        return False
    try:
        return bool(json.loads(body)["error"]["code"] == "model_failed")
    except (ValueError, LookupError, TypeError):
        return False


def _raw(name: str, head: Head) -> list[tuple[bytes, bytes]]:
    return [*head.headers, (REPLICA, name.encode())]
