"""The model in this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.backends.base import Backend, Capabilities, LoadStatus
from app.engine.choose import Engine, make_engine
from app.engine.download import resolve_config
from app.engine.loader import LoadedModel, configured_defaults, context_of, load_model, place
from app.engine.measure import Measurer, described
from app.engine.pace_file import PaceFile
from app.engine.tickets import Ticket, drain, ended
from app.errors import AppError, ModelError
from app.families import all_families
from app.families.base import Family
from app.media.clip import Cancelled
from app.messages import Chunk, Message, Progress
from app.meter import Measured
from app.modeling.adapters import check_adapter
from app.modeling.auto import find_member
from app.sampling import RARE, SamplingParams
from app.seen import Seen
from app.texts import Phrase, listed

if TYPE_CHECKING:
    from app.settings import Settings

log = logging.getLogger(__name__)

TICK = 0.08  # seconds; below the 0.1 s in which a consumer wants to be able to stop


class LocalBackend(Backend):
    """Loads the model the settings name and answers with it.

    Raises:
        AppError: the model is not known, its config.json cannot be had, this machine cannot run it as asked, or an
            adapter's folder does not hold one.
    """

    def __init__(self, settings: Settings) -> None:
        config = resolve_config(settings.model, settings.source)
        family: Family = find_member(all_families(), config)
        place(settings, config)
        for folder in settings.adapters.values():
            check_adapter(Path(folder))
        self._settings = settings
        self._capabilities = Capabilities(
            model=family.name,
            max_images=family.max_images,
            video=family.video,
            system_prompt=family.system_prompt,
            # Examples are turns with pictures of their own.
            few_shot=family.max_images is None or family.max_images > 1,
            context=context_of(config),
            defaults=dict(family.defaults) | configured_defaults(config) | dict(settings.option_defaults),
            hidden_options=RARE - family.options | (frozenset() if family.slicing else {"max_slice_nums"}),
            random_weights=bool(config.get("random_weights", False)),
            has_chat=not family.in_library,
            adapters=tuple(settings.adapters),
            logprobs=True,
        )
        self._status = LoadStatus("loading")
        self._engine: Engine | None = None
        self._loaded: LoadedModel | None = None
        self._measurer: Measurer | None = None
        self._error: AppError | None = None
        self._settled = threading.Event()
        self._closed = False

    @classmethod
    def from_settings(cls, settings: Settings) -> LocalBackend:
        """The backend of these settings, not started."""
        return cls(settings)

    @property
    def capabilities(self) -> Capabilities:
        """From config.json alone, so known before the weights are here."""
        return self._capabilities

    def start(self) -> None:
        """Load in a thread; `status` tells how far it is. Where GPUs are lent, the page's launch needs the weights."""
        if self._settings.lent_gpu:
            self._load()
            return
        threading.Thread(target=self._load, name="load-model", daemon=True).start()

    def status(self) -> LoadStatus:
        """How far loading is; failed too if the engine has ended, which only a new start of the server mends."""
        if self._engine is not None and self._engine.has_ended and not self._closed:
            return LoadStatus("failed", ended().said)
        return self._status

    def close(self) -> None:
        """End the answer being written and the engine."""
        self._closed = True
        if self._engine is not None:
            self._engine.close()
        if self._measurer is not None:
            self._measurer.keep()

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        """See `Backend.stream`."""
        engine = yield from self._wait_until_loaded()
        ticket = engine.submit(messages, params, user)
        # Beside the answer, which does not wait for it: of a clip's scenes frames are decoded.
        beside = ThreadPoolExecutor(1, thread_name_prefix="estimate")
        try:
            estimate = beside.submit(self._estimated, ticket)
            for chunk in self._follow(engine, ticket):
                yield (yield from self._compared(chunk, estimate))
        finally:
            engine.cancel(ticket)
            beside.shutdown(wait=False)

    def inspect(self, messages: Sequence[Message], params: SamplingParams) -> Seen | None:
        """See `Backend.inspect`; None while the model loads."""
        if self._loaded is None:
            return None
        from app.engine.inspect import inspect

        return inspect(self._loaded, messages, params, self._settings.video_reader)

    def measure(self, messages: Sequence[Message], params: SamplingParams) -> Measured | None:
        """See `Backend.measure`; None while the model loads."""
        return self._measurer.measure(messages, params) if self._measurer else None

    def _estimated(self, ticket: Ticket) -> Measured | None:
        """What the answer is expected to take; what is wrong with the request, its answer says."""
        with suppress(AppError, Cancelled):
            if self._measurer is not None:
                return self._measurer.measure(ticket.messages, ticket.params, lambda: ticket.cancelled)
        return None

    def _compared(self, chunk: Chunk, estimate: Future[Measured | None]) -> Generator[Chunk, None, Chunk]:
        """The last chunk with what was expected in its usage; the time it took is learned from."""
        if chunk.usage is None or self._measurer is None:
            return chunk
        while not wait([estimate], TICK).done:
            yield Chunk()
        expected = estimate.result()
        if expected is None:
            return chunk
        self._measurer.learn(chunk.usage, expected)
        return replace(chunk, usage=replace(chunk.usage, estimate=expected))

    def _load(self) -> None:
        try:
            loaded = load_model(self._settings, self._report)
            for note in loaded.notes:
                log.warning(note)
            self._measurer = self._make_measurer(loaded)
            self._engine = make_engine(loaded, self._settings, self._measurer.measure, self._report)
            self._loaded = loaded
            self._status = LoadStatus("ready", listed(loaded.notes, "said_after"))
        except AppError as error:
            self._fail(error)
        except Exception as error:
            log.exception("Loading the model failed.")
            self._fail(ModelError(Phrase("model_load_failed", type=type(error).__name__), Phrase("do_see_terminal")))
        self._settled.set()
        if self._closed and self._engine is not None:
            self._engine.close()

    def _make_measurer(self, loaded: LoadedModel) -> Measurer:
        # Of a GPU that is lent neither what is free is known, nor whether it is the one of the answer before.
        lent = self._settings.lent_gpu
        keeps = self._settings.cache_size != 0 and not lent
        file = None if lent else PaceFile(" | ".join((self._settings.model, self._settings.dtype, described(loaded))))
        return Measurer(loaded, self._settings.video_reader, keeps=keeps, knows_free=not lent, file=file)

    def _report(self, fraction: float | None, detail: str) -> None:
        self._status = LoadStatus("loading", detail, fraction)

    def _fail(self, error: AppError) -> None:
        self._error = error
        self._status = LoadStatus("failed", error.said)
        log.error("%s", error)

    def _wait_until_loaded(self) -> Generator[Chunk, None, Engine]:
        while not self._settled.wait(TICK):
            percent = round(100 * (self._status.fraction or 0))
            yield Chunk(progress=Progress("load", percent, 100))
        if self._engine is None:
            raise self._error or ModelError(Phrase("model_not_loaded"))
        return self._engine

    def _follow(self, engine: Engine, ticket: Ticket) -> Generator[Chunk, None, None]:
        """The ticket's chunks, neighbouring texts joined, with a sign of life while there are none."""
        while True:
            events = drain(ticket, TICK)
            if not events:
                place = engine.place(ticket)
                yield Chunk(progress=Progress("queue", place.number, seconds=place.seconds)) if place else Chunk()
            for chunk in _joined(events):
                yield chunk
                if chunk.finish_reason:
                    return


def _joined(events: Sequence[Chunk | AppError]) -> Generator[Chunk, None, None]:
    """Chunks with runs of plain text made one, and of progress only the latest; an error is raised in its place."""
    joined = Chunk()
    for event in events:
        if isinstance(event, Chunk) and not (event.finish_reason or event.notices):
            joined = Chunk(
                joined.text + event.text,
                progress=event.progress or joined.progress,
                thinking=joined.thinking + event.thinking,
                logprobs=joined.logprobs + event.logprobs,
            )
            continue
        if joined != Chunk():
            yield joined
            joined = Chunk()
        if isinstance(event, AppError):
            raise event
        yield event
    if joined != Chunk():
        yield joined
