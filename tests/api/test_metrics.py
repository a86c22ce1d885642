"""/metrics: what is counted, by Prometheus' own parser."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from threading import Event
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.api.metered import MeteredBackend
from app.api.metrics import Metrics
from app.backends.echo import EchoBackend
from app.messages import Chunk, Message, Progress, Usage
from app.sampling import SamplingParams
from tests.api.conftest import Server, asked, served

QUESTION = [Message.of("user", "hello")]


def samples(server: Server) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = httpx.get(f"{server.url}/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


API = (("source", "api"),)


def test_answers_tokens_and_times_are_counted() -> None:
    class Known(EchoBackend):
        def stream(self, *args: Any, **kwargs: Any) -> Generator[Chunk, None, None]:
            yield Chunk("a")
            yield Chunk(finish_reason="stop", usage=Usage(100, 64, 50, 20, 0.3, 100.0, 7))

    with served(Known()) as server:
        for _ in range(2):
            server.client().chat.completions.create(**asked("x"))
        found = samples(server)
    assert found["minicpmv_answers_total", (("end", "stop"), *API)] == 2
    for name, value in {"prompt": 200, "vision": 128, "cached": 100, "new": 40}.items():
        assert found[f"minicpmv_{name}_tokens_total", API] == value
    assert found["minicpmv_cached_slices_total", API] == 14
    assert found["minicpmv_time_to_first_token_seconds_count", API] == 2
    assert found["minicpmv_time_to_first_token_seconds_bucket", (("le", "0.5"), *API)] == 2
    assert found["minicpmv_time_to_first_token_seconds_bucket", (("le", "0.2"), *API)] == 0
    assert found["minicpmv_time_per_token_seconds_sum", API] == 0.02
    assert found["minicpmv_answers_running", API] == 0


def test_replies_are_counted_by_path_and_status(echo: Server) -> None:
    httpx.get(f"{echo.url}/v1/models/nobody")
    httpx.get(f"{echo.url}/v1/models/no-one")
    httpx.get(f"{echo.url}/nowhere")
    found = samples(echo)
    assert found["minicpmv_http_replies_total", (("path", "/v1/models/{model:path}"), ("status", "404"))] == 2
    assert found["minicpmv_http_replies_total", (("path", "other"), ("status", "404"))] == 1


def test_who_waits_is_counted_apart_from_who_is_answered() -> None:
    class Queued(EchoBackend):
        def stream(
            self, messages: Sequence[Message], params: SamplingParams, user: str = ""
        ) -> Generator[Chunk, None, None]:
            yield Chunk(progress=Progress("queue", 2))
            yield Chunk()
            yield Chunk("text")

    metrics = Metrics()

    def counts() -> tuple[Any, ...]:
        names = ("minicpmv_answers_waiting", "minicpmv_answers_running")
        return tuple(metrics._registry.get_sample_value(name, {"source": "page"}) for name in names)

    answer = MeteredBackend(Queued(), metrics, "page").stream(QUESTION, SamplingParams())
    seen = []
    for _ in range(3):
        next(answer)
        seen.append(counts())
    assert seen == [(1, 0), (0, 1), (0, 1)]
    answer.close()
    assert counts() == (0, 0)
    assert metrics._registry.get_sample_value("minicpmv_answers_total", {"source": "page", "end": "cancelled"}) == 1


def test_closing_a_counted_answer_closes_the_backend_s() -> None:
    closed = Event()

    class Noting(EchoBackend):
        def stream(self, *args: Any, **kwargs: Any) -> Generator[Chunk, None, None]:
            try:
                yield Chunk("text")
            finally:
                closed.set()

    answer = MeteredBackend(Noting(), Metrics(), "api").stream(QUESTION, SamplingParams())
    next(answer)
    answer.close()
    assert closed.is_set()


def test_who_asks_is_told_to_the_backend(serve: Any) -> None:
    users: list[str] = []

    class Noting(EchoBackend):
        def stream(
            self, messages: Sequence[Message], params: SamplingParams, user: str = ""
        ) -> Generator[Chunk, None, None]:
            users.append(user)
            return super().stream(messages, params, user)

    client = serve(Noting(delay=0)).client()
    client.chat.completions.create(**asked("x"))
    client.chat.completions.create(**asked("x", user="alice"))
    client.chat.completions.create(**asked("x", user="alice", safety_identifier="bob"))
    assert users == ["api 127.0.0.1", "api 127.0.0.1/alice", "api 127.0.0.1/bob"]
