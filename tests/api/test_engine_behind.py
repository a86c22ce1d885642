"""The endpoint in front of another engine, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import pytest

from app.backends.openai import OpenAIBackend
from app.messages import Message
from app.remote import pool
from app.sampling import SamplingParams
from app.settings import Settings
from tests.api.conftest import Server, asked, served
from tests.remote.fake_engine import FakeEngine, serve

NAME = "openbmb/MiniCPM-V-2_6"
Behind = Callable[..., tuple[Server, FakeEngine]]


def front(url: str, **settings: Any) -> OpenAIBackend:
    """A backend in front of a server, which has been found."""
    backend = OpenAIBackend(Settings(model="m", backend="openai", base_urls=(url,), **settings))
    backend.start()
    assert backend._looked.wait(60) and backend.status().state == "ready"
    return backend


@pytest.fixture
def behind() -> Iterator[Behind]:
    """The endpoint and the engine behind it."""
    with ExitStack() as stack:

        def make(engine: str, /, **settings: Any) -> tuple[Server, FakeEngine]:
            fake = stack.enter_context(serve(FakeEngine(engine, model=NAME)))
            backend = front(fake.url, **settings)
            stack.callback(backend.close)
            told = {"backend": "openai", "base_urls": (fake.url,), **settings}
            return stack.enter_context(served(backend, **told)), fake

        yield make


def ask(server: Server, text: str = "hello", **fields: Any) -> httpx.Response:
    body = asked(text, **{"model": None, **fields})
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)


def error_of(reply: httpx.Response) -> dict[str, Any]:
    return dict(reply.json()["error"])


@pytest.mark.parametrize("settings", [{}, {"engine": "vllm"}, {"served_model": NAME}], ids=str)
def test_the_model_is_asked_for_by_the_name_that_the_engine_has_for_it(
    settings: Mapping[str, Any], behind: Behind
) -> None:
    server, fake = behind("vllm", **settings)
    assert [model.id for model in server.client().models.list()] == [NAME]
    reply = server.client().chat.completions.create(**asked("hello", model=NAME))
    assert reply.choices[0].message.content == "one two three four" and fake.last["model"] == NAME
    with pytest.raises(openai.NotFoundError):
        server.client().chat.completions.create(**asked("hello", model=f"{NAME} · vLLM 0.32.0"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_message_longer_than_the_engine_s_context_has_the_code_of_the_protocol(stream: bool, behind: Behind) -> None:
    server, fake = behind("vllm")
    fake.context = 40
    reply = ask(server, "word " * 60, stream=stream)
    error = error_of(reply)
    assert (reply.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_is_down_is_no_failed_answer(
    stream: bool, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, fake = behind("vllm")
    monkeypatch.setattr(pool, "FIRST_WAIT", 60.0)
    fake.fault = "500"
    reply = ask(server, stream=stream)
    assert (reply.status_code, error_of(reply)["code"]) == (503, "engine_down") and reply.headers["retry-after"]
    # What the engine said is told to who asked and to nobody else.
    assert "wrong inside" in reply.text
    reply = ask(server, stream=stream)
    assert reply.status_code == 503 and reply.headers["retry-after"] and "wrong inside" not in reply.text
    assert "wrong inside" not in httpx.get(f"{server.url}/health").text


def test_an_engine_that_dies_in_an_answer_is_told_apart_in_a_stream(behind: Behind) -> None:
    server, fake = behind("vllm")
    fake.fault = "error:2"
    told = [line for line in ask(server, stream=True).text.splitlines() if "error" in line]
    assert json.loads(told[-1].removeprefix("data: "))["error"]["code"] == "engine_down"


@pytest.mark.parametrize(
    ("engine", "fields", "refused"),
    [
        ("ollama", {"top_k": 0}, ""),
        ("ollama", {"top_k": -1}, ""),
        ("ollama", {"repetition_penalty": 1.0}, ""),
        ("ollama", {"chat_template_kwargs": {"enable_thinking": False}}, ""),
        ("ollama", {"top_k": 100}, "top_k"),
        ("ollama", {"repetition_penalty": 1.05}, "repetition_penalty"),
        ("ollama", {"mm_processor_kwargs": {"max_slice_nums": 9}}, "max_slice_nums"),
        ("vllm", {"top_k": 100, "repetition_penalty": 1.05}, ""),
        ("vllm", {"mm_processor_kwargs": {"max_frames": 4}}, ""),
        # The engine may have been started with another number.
        ("vllm", {"mm_processor_kwargs": {"max_slice_nums": 9}}, "max_slice_nums"),
        ("vllm", {"mm_processor_kwargs": {"max_slice_nums": 4}}, "max_slice_nums"),
        ("sglang", {"seed": 1}, "seed"),
    ],
    ids=str,
)
def test_options_that_the_engine_has_not_may_be_given_where_they_ask_nothing(
    engine: str, fields: dict[str, Any], refused: str, behind: Behind
) -> None:
    server, fake = behind(engine)
    reply = ask(server, **fields)
    if refused:
        said = error_of(reply)["message"]
        assert reply.status_code == 400 and not fake.requests
        assert f"{refused} was asked" in said and "has no such option. Leave it out." in said
    else:
        assert reply.status_code == 200 and len(fake.requests) == 1


@pytest.mark.parametrize("engine", ["vllm", "ollama", "sglang"])
def test_a_page_in_front_of_both_asks_nothing_that_is_refused(engine: str, behind: Behind) -> None:
    server, fake = behind(engine)
    backend = front(server.url)
    for values in ({}, {"do_sample": False, "num_beams": 1}):
        params = SamplingParams.of(values, backend.capabilities.defaults)
        chunks = backend.stream([Message.of("user", "hello")], params)
        assert "".join(chunk.text for chunk in chunks) == "one two three four"
    backend.close()
    assert len(fake.requests) == 2 and "mm_processor_kwargs" not in fake.last
