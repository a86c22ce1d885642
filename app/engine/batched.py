"""The batched engine: many answers at once, by the library's continuous batching.

Three threads. One prepares requests in the order they came (files, pictures, ids) and runs beam searches, for which
the batch waits; the library's own computes the steps; one hands out what they give.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LogitsProcessorList
from transformers.generation.continuous_batching import ContinuousBatchingManager

from app.engine.answer import Job, Tokens, answer, finish_reason, prepare, tokens_of, usage_of
from app.engine.caches import Caches, auto_bytes
from app.engine.choice import Choice, Choices
from app.engine.failures import typed
from app.engine.loader import LoadedModel
from app.engine.memory import kv_bytes_per_token
from app.engine.tickets import Queued, Ticket
from app.engine.vision_table import VisionTable
from app.errors import AppError, GenerationError
from app.media.clip import Cancelled
from app.media.video import Reader
from app.messages import Chunk
from app.modeling.runner import Prompt

log = logging.getLogger(__name__)

# Positions per page: what two prompts share is shared in whole pages.
PAGE = 16
# Tokens read in one step, so that a long prompt does not hold up the answers of others for long.
STEP_TOKENS = {"cpu": 256, "cuda": 2048}
# Answers written at once; more wait.
MOST_RUNNING = 32
# Of one user, so that there is always a place for another.
MOST_OF_ONE = 24
TICK = 0.02


@dataclass(slots=True, eq=False)
class _Running:
    """A request in the batch."""

    ticket: Ticket
    job: Job
    prompt: Prompt
    tokens: Tokens
    pictures: list[bytes]
    encoded: int
    taken: int = 0


@dataclass(slots=True, eq=False)
class _Batch:
    """What runs, by the scheduler's names."""

    requests: dict[str, _Running] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)


class BatchedEngine(Queued):
    """Serves a loaded model to many at once.

    Args:
        loaded: the model; nothing else may use it from now on.
        video_reader: the library that decodes videos.
        cache_bytes: of the device's memory, for keys and values and for image features; None takes a share of what
            is free.
    """

    def __init__(self, loaded: LoadedModel, video_reader: Reader = "pyav", cache_bytes: int | None = None) -> None:
        super().__init__()
        most = auto_bytes(loaded.device) if cache_bytes is None else cache_bytes
        self._loaded, self._video_reader = loaded, video_reader
        self._caches = Caches.of(loaded.runner, most)
        self._batch = _Batch()
        self._reused: dict[str, int] = {}
        self._decoder = loaded.runner.batched_model()
        self._table = VisionTable(self._decoder.get_input_embeddings())
        self._manager = self._make_manager(most)
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._prepare_all, "batched-prepare"), (self._deliver_all, "batched-deliver"))
        ]
        self._manager.start()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Answer nothing any more; returns when the threads have ended."""
        self._line.close()
        with self._batch.changed:
            self._batch.changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._manager.stop(block=True, hard_stop=True)
        self._decoder.set_input_embeddings(self._table.own)

    # the scheduler

    def _make_manager(self, most: int) -> ContinuousBatchingManager:
        """The library's scheduler on the language model, its cache made."""
        choices = Choices()
        self._decoder.set_input_embeddings(self._table)
        # One instance's own: what the library would build from the options of all is built for each request.
        self._decoder._get_logits_processor = lambda config: LogitsProcessorList([choices])
        config = ContinuousBatchingConfig(
            page_size=PAGE,
            num_blocks=self._blocks(most),
            max_batch_tokens=STEP_TOKENS.get(self._loaded.device.type, 256),
            max_requests_per_batch=MOST_RUNNING,
            use_async_batching=False,
            use_cuda_graph=False,
        )
        ends = self._loaded.runner.terminators()
        options = GenerationConfig(do_sample=False, eos_token_id=ends, max_new_tokens=self._loaded.context)
        try:
            manager = ContinuousBatchingManager(self._decoder, options, config)
        finally:
            del self._decoder._get_logits_processor
        manager.logit_processor.tensors_required = 1
        manager.warmup()
        cache = manager.batch_processor.cache
        search = cache.search_prefix_match

        def counted(request_id: str, prompt_ids: list[int]) -> int:
            found = search(request_id, prompt_ids)
            self._reused.setdefault(request_id, found)
            return found

        cache.search_prefix_match = counted
        return manager

    def _blocks(self, most: int) -> int:
        """Blocks of the cache: what fits, at least one whole context and at most one for each that may run."""
        config = self._decoder.config.get_text_config()
        block = PAGE * kv_bytes_per_token(config, torch.finfo(self._decoder.dtype).bits // 8)
        whole = -(-self._loaded.context // PAGE)
        return max(whole + 1, min(most // block, whole * MOST_RUNNING))

    # preparing

    def _prepare_all(self) -> None:
        while (ticket := self._line.next(self._has_room)) is not None:
            job = Job(ticket.messages, ticket.params, ticket.emit, partial(self._gone, ticket), ticket.submitted)
            try:
                job.check()
                if ticket.params.searching:
                    with self._manager.pause():
                        answer(self._loaded, job, self._caches, self._video_reader)
                else:
                    self._start(ticket, job)
            except Cancelled:
                ticket.events.put(GenerationError("The answer was cancelled."))
            except AppError as error:
                ticket.events.put(error)
            except Exception as error:
                ticket.events.put(typed(error))
                self._caches.clear_device()
                error.__traceback__ = None

    def _has_room(self, ticket: Ticket) -> bool:
        running = list(self._batch.requests.values())
        own = sum(one.ticket.user == ticket.user for one in running)
        return len(running) < MOST_RUNNING and own < MOST_OF_ONE

    def _gone(self, ticket: Ticket) -> bool:
        return ticket.cancelled or self._line.closed

    def _start(self, ticket: Ticket, job: Job) -> None:
        """Encode what is new and hand the request to the scheduler."""
        prompt, notices = prepare(self._loaded, job, self._caches, self._video_reader)
        if notices:
            job.emit(Chunk(notices=notices))
        with torch.inference_mode():
            features, encoded = self._loaded.runner.features_of(prompt, job.progress("encode_images"), 0)
        ids, pictures = list(prompt.ids), []
        for one in prompt.placed:
            own = iter(self._table.hold(one.digest, features[one.digest].flatten(0, -2)))
            pictures.append(one.digest)
            for start, end in one.spans:
                ids[start:end] = [next(own) for _ in range(end - start)]
        tokens = tokens_of(self._loaded, prompt, job)
        choice = Choice(ticket.params, self._loaded.runner.terminators(), self._loaded.device)
        with self._batch.changed:
            name = self._manager.add_request(
                ids, max_new_tokens=ticket.params.max_new_tokens, streaming=True, choice=choice
            )
            if name is None:
                for digest in pictures:
                    self._table.release(digest)
                raise GenerationError("The engine has ended.", "Start the server again.")
            self._batch.requests[name] = _Running(ticket, job, prompt, tokens, pictures, encoded)
            self._batch.changed.notify_all()

    # handing out

    def _deliver_all(self) -> None:
        while not self._line.closed:
            with self._batch.changed:
                self._batch.changed.wait_for(lambda: self._batch.requests or self._line.closed)
            output = self._manager.get_result(timeout=TICK)
            if output is not None:
                self._deliver(output)
            elif not self._manager.is_running():
                self._fail_all()
            self._drop_cancelled()
        for name in list(self._batch.requests):
            self._end(name)

    def _deliver(self, output: Any) -> None:
        """New tokens of one request, and its end."""
        running = self._batch.requests.get(output.request_id)
        if running is None:
            return
        new = output.generated_tokens[running.taken :]
        running.taken += len(new)
        if not running.ticket.cancelled:
            for token in new:
                if not running.tokens.stopped:
                    running.tokens.take(token)
        if output.is_finished():
            self._finish(output, running)
        elif running.tokens.stopped:
            self._manager.cancel_request(output.request_id)
            self._finish(output, running)

    def _finish(self, output: Any, running: _Running) -> None:
        if output.error:
            log.warning("An answer failed in the batch.")
            running.ticket.events.put(GenerationError("The model failed while it answered.", "Regenerate."))
        elif not running.ticket.cancelled:
            running.tokens.end()
            reused, slices = self._reused.get(output.request_id, 0), running.prompt.slices - running.encoded
            usage = usage_of(running.tokens, running.prompt, running.job, reused, slices)
            reason = finish_reason(running.tokens, running.job.params)
            running.job.emit(Chunk(finish_reason=reason, usage=usage))
        self._end(output.request_id)

    def _drop_cancelled(self) -> None:
        """Take requests that nobody waits for out of the batch."""
        for name, running in list(self._batch.requests.items()):
            if running.ticket.cancelled:
                self._manager.cancel_request(name)
                self._end(name)

    def _fail_all(self) -> None:
        for name, running in list(self._batch.requests.items()):
            running.ticket.events.put(GenerationError("The engine has ended.", "Start the server again."))
            self._end(name)

    def _end(self, name: str) -> None:
        with self._batch.changed:
            running = self._batch.requests.pop(name, None)
        self._reused.pop(name, None)
        for digest in running.pictures if running else ():
            self._table.release(digest)
        self._line.wake()
