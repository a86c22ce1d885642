from __future__ import annotations

import pytest

from app.backends.echo import EchoBackend
from app.errors import GenerationError, ModelError, OutOfMemoryError
from app.messages import Message
from app.replicas.watch import MOST_FAILURES, WatchedBackend
from app.sampling import SamplingParams


def ask(backend: WatchedBackend, text: str) -> None:
    for _ in backend.stream([Message.of("user", text)], SamplingParams()):
        pass


def fail(backend: WatchedBackend, times: int, how: str = "/fail", error: type[Exception] = GenerationError) -> None:
    for _ in range(times):
        with pytest.raises(error):
            ask(backend, how)


def test_failures_in_a_row_are_a_failed_model() -> None:
    backend = WatchedBackend(EchoBackend(delay=0))
    fail(backend, MOST_FAILURES - 1)
    backend.check()
    fail(backend, 1)
    assert backend.status().state == "failed"
    with pytest.raises(ModelError, match="answers failed"):
        backend.check()


def test_an_answer_between_them_tells_that_it_lives() -> None:
    backend = WatchedBackend(EchoBackend(delay=0))
    fail(backend, MOST_FAILURES - 1)
    ask(backend, "hello")
    fail(backend, MOST_FAILURES - 1)
    backend.check()


def test_too_large_a_question_is_no_failure_of_the_model() -> None:
    backend = WatchedBackend(EchoBackend(delay=0))
    fail(backend, MOST_FAILURES, "/oom", OutOfMemoryError)
    backend.check()
