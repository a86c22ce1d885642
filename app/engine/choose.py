"""Which engine serves a loaded model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from app.engine.compiling import compile_layers
from app.engine.failures import free_device, is_out_of_memory
from app.engine.lent import LentEngine, Measure
from app.engine.loader import LoadedModel, OnStatus
from app.engine.plain import PlainEngine
from app.engine.tickets import Place, Ticket
from app.engine.window import shares_beginnings
from app.errors import OutOfMemoryError, SettingsError
from app.messages import Message
from app.sampling import SamplingParams
from app.texts import Phrase

if TYPE_CHECKING:
    from app.settings import Settings


log = logging.getLogger(__name__)


class Engine(Protocol):
    """What serves a loaded model."""

    def submit(self, messages: Sequence[Message], params: SamplingParams, user: str = "") -> Ticket:
        """Queue a request."""
        ...

    def place(self, ticket: Ticket) -> Place | None:
        """Where a request stands in the line; None once it is being answered."""
        ...

    def cancel(self, ticket: Ticket) -> None:
        """Call a request off: it leaves the line, or its work ends within one token."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether no more is served."""
        ...

    def close(self) -> None:
        """Answer nothing any more."""
        ...


def make_engine(
    loaded: LoadedModel,
    settings: Settings,
    measure: Measure = lambda messages, params: None,
    on_status: OnStatus = lambda fraction, detail: None,
) -> Engine:
    """The engine of the settings.

    Args:
        measure: what an answer takes, where that decides how long a GPU is asked for.
        on_status: told that something is compiled, which takes its time.

    Raises:
        SettingsError: what is asked for cannot serve this model here, or no picture fits into the vision table; says
            why.
        OutOfMemoryError: the engine that is asked for has no room for its cache.
    """
    obstacle = Phrase("unbatched_lent") if settings.lent_gpu else why_not_batched(loaded)
    if settings.engine == "batched" and obstacle:
        raise SettingsError(Phrase("engine_not_batched", obstacle=obstacle), Phrase("do_engine_plain"))
    record = settings.compile and loaded.device.type == "cuda"
    plain = settings.engine == "plain" or bool(obstacle)
    if not plain and settings.engine == "auto" and settings.cache_size != 0 and not record:
        plain = not shares_beginnings(loaded)
    if settings.compile:
        if reason := _why_not_compiled(loaded, plain, obstacle):
            raise SettingsError(Phrase("not_compiled", reason=reason), Phrase("do_not_compile"))
        on_status(None, Phrase("loading_compiling"))
        if not record:
            compile_layers(loaded.runner)
    if plain and settings.vision_table is not None:
        log.warning(Phrase("note_vision_table_plain"))
    if settings.lent_gpu:
        return LentEngine(loaded, measure, settings.video_reader, settings.cache_size)
    if plain:
        return PlainEngine(loaded, settings.video_reader, settings.cache_size)
    from app.engine.batched import BatchedEngine
    from app.engine.vision_table import least_bytes

    table = settings.vision_table
    if table is not None and table < (least := least_bytes(loaded)):
        raise SettingsError(Phrase("vision_table_small", got=table, least=least), Phrase("do_vision_table"))
    try:
        return BatchedEngine(loaded, settings.video_reader, settings.cache_size, table, record=record)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # Its cache holds one whole context at least; what the plain engine keeps grows with the conversation.
    free_device()
    if settings.engine == "batched" or record:
        raise OutOfMemoryError(Phrase("no_room_for_batches"), Phrase("do_engine_plain_memory"))
    log.warning(Phrase("note_plain_for_memory"))
    return PlainEngine(loaded, settings.video_reader, settings.cache_size)


def _why_not_compiled(loaded: LoadedModel, plain: bool, obstacle: str) -> str:
    """What keeps a model from being compiled; empty if nothing does."""
    if loaded.adapters.names:
        return Phrase("uncompiled_adapters")
    if loaded.device.type == "cuda" and getattr(loaded.model, "is_loaded_in_8bit", False):
        return Phrase("uncompiled_int8")
    if loaded.device.type == "cuda" and plain:
        return Phrase("uncompiled_plain", obstacle=obstacle or Phrase("plain_was_asked"))
    return ""


def why_not_batched(loaded: LoadedModel) -> str:
    """What keeps the batched engine from serving a model; empty if nothing does."""
    if loaded.runner.batched_model() is None:
        return Phrase("unbatched_positions", name=loaded.family.name)
    if loaded.adapters.names:
        return Phrase("unbatched_adapters")
    if loaded.device.type == "mps":
        return Phrase("unbatched_mps")
    if len(set(getattr(loaded.model, "hf_device_map", {}).values())) > 1:
        return Phrase("unbatched_spread")
    return ""
