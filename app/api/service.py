"""Answering: from the bytes of a request to its reply."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from anyio import CapacityLimiter, to_thread
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.catalogue import Catalogue
from app.api.client import read_body, unless_gone
from app.api.completion import Head, Steps, begin, events, whole
from app.api.conversation import check_fits, read_conversation, system_prompt
from app.api.errors import RETRY_AFTER, ApiError, invalid, unexpected
from app.api.fetch import Fetcher
from app.api.follow import Answer, Follower
from app.api.intake import Intake
from app.api.media import RequestMedia
from app.api.options import SEEDS, read_options
from app.api.schema import ChatRequest
from app.api.sse import EventStream
from app.api.store import MediaStore
from app.backends.base import Backend
from app.errors import AppError
from app.messages import Message
from app.sampling import SamplingParams
from app.settings import Settings

READERS = 8  # requests read at once, whose pictures are in memory
LONGEST_USER = 64  # characters, as the protocol has it
TEXT_BYTES = 4 * 1024**2  # of a request beside its largest file


def user_of(host: str, name: str) -> str:
    """Whose request it is, as `Backend.stream` takes it.

    The name is the client's own word: it divides the share of the client's address, and is nobody else's.
    """
    return f"api {host}/{name[:LONGEST_USER]}" if name else f"api {host}"


def most_bytes(settings: Settings) -> int:
    """What a request may have: its largest file, in base64, and text."""
    return settings.max_file_size * 4 // 3 + TEXT_BYTES


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, checked, with its media at hand."""

    turns: Sequence[Message]
    params: SamplingParams
    model: str
    user: str
    count: int
    stream: bool
    usage: bool
    progress: bool


@dataclass(frozen=True, slots=True)
class _Received:
    """A body, and its room until it has been read."""

    body: bytes
    room: ExitStack


class ChatService:
    """Answers requests with a backend.

    Args:
        backend: shared with the page.
        store: of the requests' media.
    """

    def __init__(self, backend: Backend, settings: Settings, catalogue: Catalogue, store: MediaStore) -> None:
        self._backend = backend
        self._settings = settings
        self._catalogue = catalogue
        self._store = store
        self._fetcher = Fetcher(settings.allow_url_hosts)
        self._follower = Follower()
        self._readers = CapacityLimiter(READERS)
        self._intake = Intake(most_bytes(settings))

    def end(self) -> None:
        """End all answers, because the server ends."""
        self._follower.end()

    async def reply(self, request: Request) -> Response:
        """The reply to a request, whole or as a stream.

        Raises:
            AppError: it cannot be answered.
            ClientGone: nobody waits for the reply any more; its generation has been called off.
        """
        self._check_ready()
        host = request.client.host if request.client else ""
        return await unless_gone(request.receive, self._reply(await self._receive(request), host))

    async def _receive(self, request: Request) -> _Received:
        with ExitStack() as room:
            take = room.enter_context(self._intake.place())
            return _Received(await read_body(request, most_bytes(self._settings), take), room.pop_all())

    async def _reply(self, received: _Received, host: str) -> Response:
        media = RequestMedia(self._store, self._fetcher, self._settings.max_file_size)
        steps: Steps | None = None

        async def end() -> None:
            if steps is not None:
                await steps.aclose()
            media.release()

        streaming = False
        try:
            asked = await self._read_in_turn(received, media, host)
            del received  # the answer may take long
            head = Head(asked.model)
            steps = self._follower.follow(self._answers(asked), progress=asked.progress)
            if not asked.stream:
                completion = await whole(steps, head, asked.count, asked.params.logprobs is not None)
                return JSONResponse(completion.model_dump(exclude_none=True))
            first = await begin(steps)
            streaming = True
            return EventStream(events(first, steps, head, asked.count, asked.usage), end)
        finally:
            if not streaming:
                await end()

    def _check_ready(self) -> None:
        status = self._backend.status()
        if status.state != "ready":
            wait = {"Retry-After": str(RETRY_AFTER)} if status.state in ("loading", "away") else {}
            raise ApiError(
                f"The model is not ready: {status.detail or status.state}",
                "Try again in a while." if wait else "",
                503,
                f"model_{status.state}",
                headers=wait,
            )

    async def _read_in_turn(self, received: _Received, media: RequestMedia, host: str) -> Asked:
        """See `_read`. A thread that goes on for a client who has hung up keeps its place: it holds the memory."""
        work = to_thread.run_sync(self._read, received.body, media, host, limiter=self._readers)
        reading, room = asyncio.ensure_future(work), received.room

        def end(done: asyncio.Future[Asked]) -> None:
            room.close()
            done.cancelled() or done.exception()

        reading.add_done_callback(end)
        return await asyncio.shield(reading)

    def _read(self, body: bytes, media: RequestMedia, host: str) -> Asked:
        """Check a request and get its media; in a thread, for both may take long."""
        try:
            return self._checked(ChatRequest.model_validate_json(body), media, host)
        except ValidationError as error:
            raise invalid(error) from None
        except AppError:
            raise
        except Exception as cause:
            raise unexpected(cause) from None

    def _checked(self, request: ChatRequest, media: RequestMedia, host: str) -> Asked:
        if request.stream_options and not request.stream:
            raise ApiError("stream_options was given; the request does not stream.", param="stream_options")
        adapter = self._catalogue.adapter(request.model)
        capabilities = self._backend.capabilities
        defaults = {**capabilities.defaults, **self._settings.option_defaults}
        params = read_options(request, system_prompt(request.messages), adapter, capabilities, defaults)
        turns = read_conversation(request.messages, media)
        check_fits(turns, params, capabilities)
        return Asked(
            turns,
            params,
            request.model or self._catalogue.name,
            user_of(host, request.safety_identifier or request.user or ""),
            request.n or 1,
            bool(request.stream),
            bool(request.stream_options and request.stream_options.include_usage),
            bool(request.stream_options and request.stream_options.include_progress),
        )

    def _answers(self, asked: Asked) -> list[Answer]:
        """One for each choice; a seed gives each its own, and the first what it gives alone."""
        seed = asked.params.seed
        seeds = [seed if seed is None else (seed + number) % SEEDS for number in range(asked.count)]
        return [
            partial(self._backend.stream, asked.turns, replace(asked.params, seed=one), asked.user) for one in seeds
        ]
