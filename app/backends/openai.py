"""Another engine behind the OpenAI protocol: no model in this process."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Collection, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

from app.backends.base import Backend, Capabilities, LoadStatus
from app.errors import AppError, EngineDownError, GenerationError
from app.messages import Chunk, FinishReason, Message, Notice, Progress, Text
from app.remote.client import Loop, make_client
from app.remote.detect import Found, examine
from app.remote.failures import AGAIN, Failure, failure_of
from app.remote.logprobs import few
from app.remote.media import MediaWriter
from app.remote.options import write_options
from app.remote.pool import Pool, Server
from app.remote.profiles import NEUTRAL, PROFILES, UNKNOWN, Profile
from app.remote.reading import Meter, Piece, read_event, read_stream
from app.remote.writing import Item, MessageWriter
from app.sampling import SamplingParams
from app.texts import Phrase, listed

if TYPE_CHECKING:
    from app.settings import Settings

log = logging.getLogger(__name__)

TICK = 0.08  # seconds; below the 0.1 s in which a consumer wants to be able to stop
WATCH = 0.5  # seconds between looks for servers whose time has come
PATIENCE = 3.0  # seconds that the page waits for the first look at the servers, to show the right controls
UNNAMED = "MiniCPM-V"  # a model whose name is not known yet


@dataclass(frozen=True, slots=True)
class _Request:
    """What one attempt asks."""

    messages: Sequence[Message]
    params: SamplingParams
    user: str = ""
    dropped: int = 0  # messages left out because the context is full


class OpenAIBackend(Backend):
    """Asks the servers of the settings.

    Raises:
        SettingsError: the variable that is to hold the key is not set.
    """

    def __init__(self, settings: Settings) -> None:
        self._engine, self._model = settings.engine, settings.served_model
        self._media = MediaWriter(settings.video_reader)
        key = settings.read_api_key() or ""
        self._pool = Pool([Server(url, make_client(url, key)) for url in settings.base_urls])
        self._loop = Loop()
        self._looked = threading.Event()
        self._salt = token_bytes(16)
        self._told: dict[str, str] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> OpenAIBackend:
        """The backend of these settings; nothing is asked yet."""
        return cls(settings)

    @property
    def capabilities(self) -> Capabilities:
        """What all the servers take; of one that was not reached, what every engine takes."""
        if self._engine == "auto" or PROFILES[self._engine].ours:
            self._looked.wait(PATIENCE)
        profiles, found = self._profiles(), self._found()
        told = [each.told for each in found if each.told]
        sources: Sequence[Found | Profile] = found or profiles
        hidden = frozenset[str]().union(*(each.hidden_options for each in sources))
        return Capabilities(
            model=self._title(),
            max_images=min((each.max_images for each in told if each.max_images is not None), default=None),
            video=all(each.video for each in told),
            system_prompt=all(each.system_prompt for each in told),
            few_shot=all(each.few_shot for each in told),
            beam_search=all(profile.beam_fields for profile in profiles) and all(each.beam_search for each in told),
            context=min((each.context for each in found if each.context), default=0),
            defaults=_merged_defaults(sources, hidden),
            hidden_options=hidden,
            random_weights=any(each.random_weights for each in told),
            has_chat=all(each.has_chat for each in told),
            adapters=_common([each.adapters for each in found]),
            logprobs=all(profile.logprobs for profile in profiles) and all(each.logprobs for each in told),
            served_model=self._models()[0],
        )

    @property
    def settled(self) -> bool:
        """See `Backend.settled`: a server may come up, or come back with another model."""
        return False

    def start(self) -> None:
        """Look at all servers, and from then on at those that are dead or have nothing to do."""
        self._loop.submit(self._watch())

    def status(self) -> LoadStatus:
        """Ready once a server answers."""
        servers = self._pool.servers
        if any(server.up for server in servers):
            return LoadStatus("ready", self._title())
        errors = [server.error for server in servers if server.error]
        if not self._looked.is_set() or not errors:
            return LoadStatus("loading", "")
        return LoadStatus("away", listed([error.message for error in errors], "said_after"))

    def close(self) -> None:
        """Break off all answers."""
        self._loop.close()

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        """See `Backend.stream`."""
        # Of one user, a program for example, there may be many, and each has a cache of its own.
        conversation = f"{user} {_mark(messages, params)}"
        request, meter = _Request(messages, params, self._alias(user)), Meter()
        tried: list[Server] = []
        repeated = False
        failure: Failure | None = None
        while True:
            yield from self._look_again(tried)
            with self._pool.lease(conversation, tried) as server:
                if server is None:
                    raise failure.error if failure else self._nobody()
                failure = yield from self._attempt(server, request, meter)
                if failure is None:
                    return
                if failure.down:
                    server.mark_down(failure.down)
            if meter.started:
                # What was written stays, and is not written anew unasked.
                raise (EngineDownError if failure.down else GenerationError)(failure.error.message, AGAIN)
            shorter = _without_oldest(request) if failure.too_long else None
            if shorter:
                request = shorter
            elif failure.again and not repeated:
                repeated = True
            elif failure.elsewhere and not tried:
                tried.append(server)
            else:
                raise failure.error

    def _look_again(self, tried: Collection[Server]) -> Generator[Chunk, None, None]:
        """If nobody is known to answer, ask them now: someone waits for it."""
        rest = [server for server in self._pool.servers if server not in tried]
        if not any(server.up for server in rest):
            yield from _follow(self._loop.submit(self._look(rest)), Chunk())

    def _attempt(self, server: Server, request: _Request, meter: Meter) -> Generator[Chunk, None, Failure | None]:
        """Ask one server; returns what went wrong."""
        assert server.found is not None
        profile, params = server.found.profile, request.params
        told = server.found.told
        body = write_options(params, profile, told.hidden_options if told else ())
        if profile.ours and request.user:
            body["user"] = request.user
        messages = yield from self._write(request, profile)
        events: SimpleQueue[Piece | Failure | None] = SimpleQueue()
        stream = profile.beams_stream or not params.searching
        # To the protocol an adapter is a model of its own.
        model = params.adapter or server.found.model
        answer = self._loop.submit(_ask(server, model, messages, body, stream, events))
        try:
            waiting = Chunk(progress=Progress("search" if params.searching else "prefill"))
            return (yield from _read(events, answer, request, meter, waiting))
        finally:
            answer.cancel()

    def _write(self, request: _Request, profile: Profile) -> Generator[Chunk, None, list[Item]]:
        """The messages as the engine wants them, written in a thread so that the consumer sees progress."""
        stop, steps = threading.Event(), [Progress("encode_images")]
        writer = MessageWriter(profile, self._media, request.params.max_frames, steps.append, stop.is_set)
        if all(isinstance(part, Text) for message in request.messages for part in message.content):
            return writer.write(request.messages, request.params.system_prompt)
        pool = ThreadPoolExecutor(1)
        written = pool.submit(writer.write, request.messages, request.params.system_prompt)
        try:
            while not wait([written], TICK).done:
                yield Chunk(progress=steps[-1])
            return written.result()
        finally:
            stop.set()
            pool.shutdown(wait=False)

    async def _watch(self) -> None:
        await self._look(self._pool.servers)
        self._looked.set()
        while True:
            await asyncio.sleep(WATCH)
            await self._look([server for server in self._pool.servers if server.due])

    async def _look(self, servers: Sequence[Server]) -> None:
        await asyncio.gather(*map(self._examine, servers))

    async def _examine(self, server: Server) -> None:
        """Ask a server what it is; it is marked accordingly."""
        asked = server.asked
        seen: Found | AppError
        try:
            seen = await examine(server.client, server.url, self._engine, self._model)
            news = f"{seen.title} serves {seen.model} at {server.url}."
        except Exception as cause:
            # No user's request has a part in this, and so the engine's words are for everybody.
            seen = failure_of(cause, server.url).error
            news = str(seen)
        if self._pool.settle(server, asked, seen):
            self._tell(server.url, news)

    def _tell(self, url: str, news: str) -> None:
        if self._told.get(url) != news:
            self._told[url] = news
            log.warning(news)

    def _profiles(self) -> list[Profile]:
        if self._engine != "auto":
            return [PROFILES[self._engine]]
        return [each.profile for each in self._found()] or [*PROFILES.values(), UNKNOWN]

    def _found(self) -> list[Found]:
        return [server.found for server in self._pool.servers if server.found]

    def _alias(self, user: str) -> str:
        """A name that tells users apart and nothing else of them, such as the address of a program."""
        return hashlib.blake2b(user.encode(), key=self._salt, digest_size=8).hexdigest() if user else ""

    def _models(self) -> list[str]:
        """The names by which the servers are asked for the model."""
        return list(dict.fromkeys(each.model for each in self._found())) or [self._model or UNNAMED]

    def _title(self) -> str:
        """Model and engine, as far as they are known."""
        engines = list(dict.fromkeys(each.title for each in self._found()))
        if not engines and self._engine != "auto":
            engines = [PROFILES[self._engine].title]
        return " · ".join([", ".join(self._models()), *engines])

    def _nobody(self) -> AppError:
        errors = [server.error for server in self._pool.servers if server.error]
        if len(errors) == 1:
            return errors[0]
        words = listed([error.message for error in errors], "said_after") or Phrase("no_engine")
        return EngineDownError(words, errors[0].hint if errors else Phrase("do_start_engine"))


async def _ask(
    server: Server,
    model: str,
    messages: list[Item],
    body: dict[str, Any],
    stream: bool,
    events: SimpleQueue[Piece | Failure | None],
) -> None:
    """Put an answer into a queue piece by piece, then None or what went wrong."""
    assert server.found is not None
    options: dict[str, Any] = {"model": model, "messages": messages, "extra_body": body, "stream": stream}
    if stream and server.found.profile.usage_on_request:
        options["stream_options"] = {"include_usage": True}
        if server.found.told:  # what tells of its model tells how far it is
            options["stream_options"]["include_progress"] = True
    try:
        answer: Any = await server.client.chat.completions.create(**options)
        if stream:
            async with answer:
                async for piece in read_stream(answer):
                    events.put(piece)
        else:
            events.put(read_event(answer))
        events.put(None)
    except Exception as cause:
        events.put(failure_of(cause, server.url))


def _read(
    events: SimpleQueue[Piece | Failure | None], answer: Future[None], request: _Request, meter: Meter, waiting: Chunk
) -> Generator[Chunk, None, Failure | None]:
    """The chunks of an answer; returns what went wrong."""
    reason: FinishReason = "stop"
    told: Any = None
    while True:
        try:
            event = events.get(timeout=TICK)
        except Empty:
            if answer.done() and events.empty():
                return Failure(GenerationError(Phrase("app_closing")))
            yield Chunk() if meter.started else waiting
            continue
        if isinstance(event, Failure):
            return event
        if event is None:
            yield Chunk(finish_reason=reason, usage=meter.usage(told))
            return None
        reason, told = event.finish_reason or reason, event.usage or told
        if event.progress and not meter.started:
            waiting = Chunk(progress=event.progress)
            yield waiting
        entries = few(event.logprobs, request.params.logprobs)
        if event.text or event.thinking or entries:
            first = not meter.started
            meter.tick()
            notices = (Notice("turns_dropped", request.dropped),) if first and request.dropped else ()
            yield Chunk(event.text, thinking=event.thinking, notices=notices, logprobs=entries)


def _follow(work: Future[None], waiting: Chunk) -> Generator[Chunk, None, None]:
    """Wait for something, with signs of life."""
    while not wait([work], TICK).done:
        yield waiting


def _without_oldest(request: _Request) -> _Request | None:
    """The request without its oldest question and the answer to it; None if it has but one."""
    starts = [at for at, message in enumerate(request.messages) if message.role == "user"]
    if len(starts) < 2:
        return None
    left = request.messages[starts[1] :]
    return replace(request, messages=left, dropped=request.dropped + starts[1])


def _merged_defaults(sources: Sequence[Found | Profile], hidden: Collection[str]) -> dict[str, Any]:
    """The defaults of several servers in one; none asks something of a server that has no such option.

    Args:
        hidden: the options that one of them has not.
    """
    merged: dict[str, Any] = {}
    for source in sources:
        merged |= source.defaults
    for name, neutral in NEUTRAL.items():
        merged |= {key: neutral for key in (name, f"beam.{name}") if {name, key} & set(hidden)}
    frames = [source.defaults["max_frames"] for source in sources if "max_frames" in source.defaults]
    return merged | ({"max_frames": min(frames)} if frames else {})


def _common(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """What is in all of some tuples, in the order of the first."""
    return tuple(name for name in names[0] if all(name in each for each in names)) if names else ()


def _mark(messages: Sequence[Message], params: SamplingParams) -> str:
    """What tells a conversation from another one: how it begins."""
    digest = hashlib.sha256(params.system_prompt.encode())
    for part in messages[0].content:
        digest.update(repr(part.text if isinstance(part, Text) else part.source).encode())
    return digest.hexdigest()
