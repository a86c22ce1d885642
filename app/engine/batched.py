"""The batched engine: many answers at once, by the library's continuous batching.

Some threads prepare requests in the order of the line (files, pictures, ids) side by side, but take turns on the
device, and run beam searches, for which the batch waits; the library's own computes the steps; one hands out what they
give. Where a step fails, memory being short for example, the scheduler is made anew and the answers go on from their
last tokens.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor
from transformers.generation.continuous_batching import ContinuousBatchingManager

from app.engine.admission import MOST_PREPARING, TICK, Admission
from app.engine.answer import Job, answer, finish_reason, prepare, tokens_of, usage_of
from app.engine.caches import Caches, Shares, auto_bytes
from app.engine.choice import Choice
from app.engine.device_turns import DeviceTurns
from app.engine.failures import ending_of, free_device, is_out_of_memory, typed, with_relief
from app.engine.loader import LoadedModel
from app.engine.logprobs import Logprobs
from app.engine.running import Batch, Running
from app.engine.scheduler import make_manager, step_tokens
from app.engine.tickets import Queued, Ticket, ended
from app.engine.token_texts import TokenTexts
from app.engine.vision_table import VisionTable
from app.errors import AppError, GenerationError
from app.media.clip import Check
from app.media.video import Reader
from app.messages import Chunk
from app.modeling.runner import ProgressHook
from app.texts import Phrase

log = logging.getLogger(__name__)

# Tries to make a new scheduler, each with less of a cache if memory is what lacks.
MOST_RESTARTS = 3
# Seconds that making a new scheduler may take.
RESTART = 60.0
# Seconds in which a scheduler that has failed a request has ended, if it was its end too.
LAST_BREATH = 1.0


class BatchedEngine(Queued):
    """Serves a loaded model to many at once.

    Args:
        loaded: the model; nothing else may use it from now on.
        video_reader: the library that decodes videos.
        cache_bytes: of the device's memory, for keys and values and for image features; None takes a share of what
            is free.
        table_bytes: of it besides, for image features that prompts are read with; None takes a part of the others.
        record: record the steps of answers, on CUDA.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        video_reader: Reader = "pyav",
        cache_bytes: int | None = None,
        table_bytes: int | None = None,
        *,
        record: bool = False,
    ) -> None:
        super().__init__()
        most = auto_bytes(loaded.device) if cache_bytes is None else cache_bytes
        shares = Shares.of(most, batched=True, table=table_bytes)
        self._loaded, self._video_reader, self._cache_bytes = loaded, video_reader, shares.pages
        self._record, self._reading_bytes, self._keeps = record, shares.reading, most > 0
        self._caches = Caches.of(loaded.runner, most, shares)
        self._batch = Batch()
        self._searches = DeviceTurns()
        self._admission = Admission(self._line, self._batch)
        self._hurt: list[Running] = []
        self._missed = False  # a request waits for a scheduler that has ended while there was nothing to answer
        self._leaving: dict[str, Running] = {}  # called off, and still in the scheduler
        self._reused: dict[str, int] = {}
        self._decoder = loaded.runner.batched_model()
        self._table = VisionTable(self._decoder.get_input_embeddings(), step_tokens(loaded.device))
        try:
            self._manager = self._make_manager()
        except BaseException:  # another engine may take the model
            self._decoder.set_input_embeddings(self._table.own)
            raise
        works = [("batched-prepare", self._prepare_all)] * MOST_PREPARING + [("batched-deliver", self._deliver_all)]
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]
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

    def _make_manager(self) -> ContinuousBatchingManager:
        manager, self._pages = make_manager(
            self._loaded,
            self._table,
            self._cache_bytes,
            self._reused,
            self._left,
            record=self._record,
            share=self._keeps,
        )
        return manager

    # preparing

    def _prepare_all(self) -> None:
        while (ticket := self._admission.take()) is not None:
            with self._admission.begun(ticket):
                self._prepare(ticket)

    def _prepare(self, ticket: Ticket) -> None:
        """Begin with one request; whatever happens to it, the engine goes on."""
        job = Job(ticket.messages, ticket.params, ticket.emit, partial(self._gone, ticket), ticket.submitted)
        try:
            job.check()
            reliefs = (self._caches.clear_device, lambda: self._admission.wait_alone(ticket, job))
            with_relief(lambda: self._begin(ticket, job), lambda: ticket.begun, reliefs)
        except Exception as error:
            ticket.events.put(ending_of(error))

    def _gone(self, ticket: Ticket) -> bool:
        return ticket.cancelled or self._line.closed

    def _begin(self, ticket: Ticket, job: Job) -> None:
        """Write an answer that is searched for, or put a request into the batch."""
        if ticket.params.searching:
            # One search at a time, so that the batch goes on between them. The pause before the turn on the device: the
            # step that the batch ends with may need one.
            with self._searches.turn(0, job.check), self._paused(job), self._caches.turns.turn(0, job.check):
                answer(self._loaded, job, self._caches, self._video_reader)
        else:
            self._start(ticket, job)

    def _start(self, ticket: Ticket, job: Job) -> None:
        """Encode what is new and hand the request to the scheduler."""
        prompt, notices = prepare(self._loaded, job, self._caches, self._video_reader)
        if notices:
            job.emit(Chunk(notices=notices))
        tokens = tokens_of(self._loaded, prompt, job)
        choice = Choice(ticket.params, self._loaded.runner.terminators(), self._loaded.device)
        if ticket.params.logprobs is not None:
            tokens.logprobs = Logprobs(lambda token: choice.scored.popleft(), TokenTexts(self._loaded.runner.tokenizer))
        running = Running(ticket, job, prompt, tokens, choice, list(prompt.ids))
        try:
            if prompt.placed:
                self._await_readers(job)
                self._show(running)
            with self._batch.changed:
                for _ in range(2):  # it may end just before it gets the request
                    self._await_scheduler()
                    if self._schedule(running):
                        return
                raise ended()
        except BaseException:
            self._release(running)
            raise

    def _await_readers(self, job: Job) -> None:
        """Wait until the features that prompts of others are read with leave room."""
        with self._batch.changed:
            while self._table.held_bytes > self._reading_bytes:
                job.check()
                self._batch.changed.wait(TICK)

    def _show(self, running: Running) -> None:
        """Give a request's pictures their ids, and encode those that no pages hold to their ends.

        Where these pages go before the request is read, or it must be read again, the scheduler's thread encodes them.
        """
        for one in running.prompt.placed:
            count = sum(end - start for start, end in one.spans)
            own = iter(self._table.hold(one.digest, count, partial(self._encode, running)))
            running.pictures.append(one.digest)
            running.unread.append(one.digest)
            for start, end in one.spans:
                running.ids[start:end] = [next(own) for _ in range(end - start)]
        report = running.job.progress("encode_images")
        self._table.put(self._encode(running, self._pages.held(running.ids), report, running.job.check))

    def _encode(
        self,
        running: Running,
        held: int = 0,
        report: ProgressHook = lambda done, total: None,
        check: Check = lambda: None,
    ) -> dict[bytes, Tensor]:
        """Features of the pictures that reach beyond the first positions, of which so many are held."""
        features, encoded = self._caches.features_of(running.prompt, report, held, check)
        running.encoded = min(running.prompt.slices, running.encoded + encoded)
        return features

    @contextmanager
    def _paused(self, job: Job) -> Iterator[None]:
        """The batch waits. A scheduler that ends before it could pause is waited for."""
        with ExitStack() as stack:
            while True:
                job.check()
                with self._batch.changed:
                    self._await_scheduler()
                try:
                    stack.enter_context(self._manager.pause())
                    break
                except RuntimeError:
                    if self._is_alive():
                        raise
            yield

    def _await_scheduler(self) -> None:
        """Wait for the new scheduler where the last one has failed. Called with the batch locked."""
        self._missed = not self._is_alive()
        self._batch.changed.notify_all()
        self._batch.changed.wait_for(lambda: self._is_alive() or self._line.closed, RESTART)

    def _is_alive(self) -> bool:
        refusal = self._manager.background_thread_status.can_accept_new_requests()
        return self._manager.is_running() and refusal is None

    def _schedule(self, running: Running) -> bool:
        """Hand a request to the scheduler, what was answered already as a part of its prompt; tells whether it took it.

        Called with the batch locked.
        """
        if self._line.closed:  # a scheduler that never ran would take it, and nobody would hand anything out
            return False
        done = running.tokens.ids
        name = self._manager.add_request(
            running.ids + done,
            max_new_tokens=running.ticket.params.max_new_tokens - len(done),
            streaming=True,
            choice=running.choice,
        )
        if name is None:
            return False
        self._batch.requests[name] = running
        self._batch.changed.notify_all()
        return True

    # handing out

    def _deliver_all(self) -> None:
        try:
            self._deliver_until_closed()
        except Exception as error:  # nobody else would end the answers
            log.error("The engine has ended with %s; start the server again.", type(error).__name__)
            self._line.close()
        with self._batch.changed:
            left = [*self._batch.requests.values(), *self._hurt]
            self._batch.requests.clear()
            self._hurt = []
        for running in left:
            self._fail(running, ended())

    def _deliver_until_closed(self) -> None:
        while not self._line.closed:
            with self._batch.changed:
                self._batch.changed.wait_for(
                    lambda: self._batch.requests or self._hurt or self._missed or self._line.closed
                )
            output = self._manager.get_result(timeout=TICK)
            if output is not None:
                self._deliver(output)
            elif self._hurt or not self._is_alive():
                self._recover()
            self._drop_cancelled()

    def _deliver(self, output: Any) -> None:
        """New tokens of one request, and its end."""
        running = self._batch.requests.get(output.request_id)
        if running is None:
            return
        new = output.generated_tokens[running.taken :]
        running.taken += len(new)
        if new:
            self._read(running)
        if not running.ticket.cancelled:
            for token in new:
                if not running.tokens.stopped:
                    running.tokens.take(token)
        if output.is_finished():
            self._finish(output, running)
        elif running.tokens.stopped:
            self._conclude(output.request_id, running)
            self._leave(output.request_id)

    def _finish(self, output: Any, running: Running) -> None:
        if output.error and not running.ticket.cancelled:
            # What to say, and whether it can go on, is known once the scheduler has ended or has not.
            with self._batch.changed:
                self._hurt.append(self._batch.requests.pop(output.request_id))
            return
        self._conclude(output.request_id, running)
        self._end(output.request_id)

    def _conclude(self, name: str, running: Running) -> None:
        """The last chunk of an answer."""
        if not running.ticket.cancelled:
            running.tokens.end()
            reused, slices = self._reused.get(name, 0), running.prompt.slices - running.encoded
            usage = usage_of(running.tokens, running.prompt, running.job, reused, slices)
            reason = finish_reason(running.tokens, running.job.params)
            running.job.emit(Chunk(finish_reason=reason, usage=usage))

    def _recover(self) -> None:
        """After a failure: go on with a new scheduler if it was the end of the old one, else end that request alone."""
        thread = self._manager._generation_thread
        if thread is not None:
            thread.join(LAST_BREATH)
        if self._is_alive():
            hurt, self._hurt = self._hurt, []
            for running in hurt:
                self._fail(running, GenerationError(Phrase("model_failed"), Phrase("do_regenerate")))
            return
        error = self._manager.background_thread_status.fatal_error or RuntimeError("The scheduler has ended.")
        with self._batch.changed:
            self._hurt += self._batch.requests.values()
            self._batch.requests.clear()
            while self._leaving:  # the next scheduler gives the same names
                self._release(self._leaving.popitem()[1])
            self._reused.clear()
            self._missed = False
            self._restart(error)
            told = typed(error)
            while self._hurt:
                running = self._hurt.pop(0)
                running.crashes += 1
                running.taken, running.choice.ids = 0, list(running.tokens.ids)
                running.choice.scored.clear()
                if running.ticket.cancelled:
                    self._release(running)
                elif running.hopeless or not self._schedule(running):
                    self._fail(running, told)
            self._batch.changed.notify_all()

    def _restart(self, error: BaseException) -> None:
        """A new scheduler, with half of the cache where memory ran out; without one the engine has ended."""
        log.warning("The scheduler failed with %s; a new one goes on.", type(error).__name__)
        for _ in range(MOST_RESTARTS):
            if isinstance(error, Exception) and is_out_of_memory(error):
                self._cache_bytes //= 2
            error.__traceback__ = None
            try:
                self._manager.stop(block=True, hard_stop=True)
                self._caches.clear_device()
                free_device()
                self._manager = self._make_manager()
                return self._manager.start()
            except Exception as again:
                error = again
        log.error("No scheduler can be made (%s); start the server again.", type(error).__name__)
        self._line.close()

    def _fail(self, running: Running, error: AppError) -> None:
        running.ticket.events.put(error)
        self._release(running)

    def _read(self, running: Running) -> None:
        """The cache holds a request's pictures."""
        while running.unread:
            self._table.read(running.unread.pop())

    def _release(self, running: Running) -> None:
        self._read(running)
        for digest in running.pictures:
            self._table.release(digest)
        self._line.wake()

    def _drop_cancelled(self) -> None:
        """Take requests that nobody waits for out of the batch."""
        for name, running in list(self._batch.requests.items()):
            if running.ticket.cancelled:
                self._leave(name)

    def _leave(self, name: str) -> None:
        """Take a request out of the batch; its pictures stay until the scheduler has let go of it.

        A step that has begun may still read them, and what it computes is kept for who asks about them next.
        """
        with self._batch.changed:
            running = self._batch.requests.pop(name, None)
            if running:
                self._leaving[name] = running
        self._manager.cancel_request(name)

    def _left(self, name: str) -> None:
        """The scheduler has let go of a request; called in its thread."""
        running = self._leaving.pop(name, None)
        self._reused.pop(name, None)
        if running:
            self._release(running)

    def _end(self, name: str) -> None:
        with self._batch.changed:
            running = self._batch.requests.pop(name, None)
        self._reused.pop(name, None)
        if running:
            self._release(running)
