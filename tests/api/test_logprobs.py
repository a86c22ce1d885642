"""Log probabilities over the API, by the official client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest

from app.backends.base import Capabilities
from app.backends.echo import EchoBackend
from app.backends.local import LocalBackend
from app.messages import LEAST_LOGPROB, Candidate, Chunk, Message, TokenLogprob
from app.settings import Settings
from tests.api.conftest import Serve, Server, asked, served
from tests.generated import generated, one_pass
from tests.modeling.golden import checkpoint

NAME = "minicpm-v-2_6"
QUESTION = "Write a short story about a cat and a mountain."
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 24, "extra_body": {"repetition_penalty": 1.0}}


@pytest.fixture(scope="module", params=["plain", "batched"])
def golden(request: pytest.FixtureRequest) -> Iterator[Server]:
    folder = str(checkpoint(NAME))
    settings = Settings(
        model=folder, device="cpu", dtype="fp32", engine=request.param, cache_size=64 * 1024**2, api=True
    )
    backend = LocalBackend(settings)
    backend.start()
    with served(backend, model=folder, backend="local") as server:
        server.wait_for(lambda: backend.status().state == "ready")
        yield server
    backend.close()


def ask(server: Server, **fields: Any) -> Any:
    client = server.client()
    model = client.models.list().data[0].id
    return client.chat.completions.create(**asked(QUESTION, model=model) | GREEDY | fields)


def test_they_are_those_of_one_pass_over_prompt_and_answer(golden: Server) -> None:
    with generated() as answers:
        choice = ask(golden, logprobs=True, top_logprobs=5).choices[0]
    (answer,) = answers.values()
    rows = one_pass(NAME, [Message.of("user", QUESTION)], answer.ids)
    assert len(choice.logprobs.content) == len(answer.told) > 4
    for entry, place in zip(choice.logprobs.content, answer.told, strict=True):
        assert entry.logprob == pytest.approx(float(rows[place, answer.ids[place]]), abs=1e-4)
        best = rows[place].topk(5).values.tolist()
        assert [one.logprob for one in entry.top_logprobs] == pytest.approx(best, abs=1e-4)
        first = entry.top_logprobs[0]
        assert (first.token, first.logprob, first.bytes) == (entry.token, entry.logprob, entry.bytes)
        assert entry.token == bytes(entry.bytes).decode("utf-8", "replace")


def test_a_stream_brings_the_same_with_its_texts(golden: Server) -> None:
    whole = ask(golden, logprobs=True, top_logprobs=2).choices[0]
    text, entries = "", []
    for event in ask(golden, logprobs=True, top_logprobs=2, stream=True):
        for choice in event.choices:
            text += choice.delta.content or ""
            found = choice.logprobs.content if choice.logprobs else []
            assert bool(found) or not choice.delta.content
            entries += found
    assert text == whole.message.content
    assert [entry.token for entry in entries] == [entry.token for entry in whole.logprobs.content]
    for streamed, told in zip(entries, whole.logprobs.content, strict=True):
        assert streamed.logprob == pytest.approx(told.logprob, abs=1e-4)
        assert [one.token for one in streamed.top_logprobs] == [one.token for one in told.top_logprobs]


def test_who_does_not_ask_gets_none(golden: Server) -> None:
    for fields in ({}, {"logprobs": False}, {"logprobs": False, "top_logprobs": 0}):
        assert ask(golden, **fields).choices[0].logprobs is None
    assert not any(choice.logprobs for event in ask(golden, stream=True) for choice in event.choices)
    entries = ask(golden, logprobs=True).choices[0].logprobs.content
    assert entries and not any(entry.top_logprobs for entry in entries)


def test_each_of_several_answers_has_its_own(golden: Server) -> None:
    fields = {"temperature": 1.5, "seed": 3, "logprobs": True, "top_logprobs": 1}
    choices = ask(golden, n=2, **fields).choices
    told = [[entry.token for entry in choice.logprobs.content] for choice in choices]
    assert told[0] != told[1] and all(told)
    assert told[0] == [entry.token for entry in ask(golden, **fields).choices[0].logprobs.content]


def test_entries_end_with_the_text_that_a_stop_ends(golden: Server) -> None:
    whole = ask(golden, logprobs=True).choices[0]
    text = whole.message.content
    ended = ask(golden, logprobs=True, stop=text[len(text) // 2 :][:2]).choices[0]
    tokens = [entry.token for entry in ended.logprobs.content]
    assert 0 < len(tokens) < len(whole.logprobs.content)
    assert tokens == [entry.token for entry in whole.logprobs.content][: len(tokens)]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"top_logprobs": 3, "logprobs": False}, "top_logprobs"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"top_logprobs": -1, "logprobs": True}, "top_logprobs"),
        ({"logprobs": True, "temperature": None, "extra_body": {"num_beams": 3}}, "logprobs"),
    ],
)
def test_what_cannot_be_had_is_refused(golden: Server, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(golden, **fields)
    assert caught.value.param == param


def test_a_backend_that_tells_none_refuses(echo: Server) -> None:
    with pytest.raises(openai.BadRequestError, match="Echo does not tell probabilities") as caught:
        echo.client().chat.completions.create(**asked("x", logprobs=True))
    assert caught.value.param == "logprobs"
    assert echo.client().models.list().data[0].capabilities["logprobs"] is False  # type: ignore[attr-defined]


class Telling(EchoBackend):
    """One that tells what it is made with."""

    def __init__(self, *chunks: Chunk) -> None:
        super().__init__(delay=0)
        self._chunks = chunks

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, logprobs=True)

    def stream(self, *arguments: Any, **more: Any) -> Iterator[Chunk]:  # type: ignore[override]
        yield from self._chunks
        yield Chunk(finish_reason="stop")


def test_the_shape_is_the_protocol_s_whatever_is_told(serve: Serve) -> None:
    never = Candidate("no", float("-inf"))
    part = TokenLogprob(Candidate("\ufffd", -0.5, b"\xe4"), (never,))
    space = TokenLogprob(Candidate(" ", -1.0, b" "))
    client = serve(Telling(Chunk("a", logprobs=(part,)), Chunk(logprobs=(space,)))).client()
    content = client.chat.completions.create(**asked("x", logprobs=True)).choices[0].logprobs.content  # type: ignore
    assert [(entry.token, entry.logprob, entry.bytes) for entry in content] == [
        ("\ufffd", -0.5, [0xE4]),
        (" ", -1, [32]),
    ]
    assert [(one.token, one.logprob, one.bytes) for one in content[0].top_logprobs] == [("no", LEAST_LOGPROB, None)]
    events = list(client.chat.completions.create(**asked("x", logprobs=True, stream=True)))
    told = [(choice.delta.content, len(choice.logprobs.content)) for event in events for choice in event.choices
            if choice.logprobs]  # fmt: skip
    assert told == [("a", 1), ("", 1)]
    empty = serve(Telling()).client().chat.completions.create(**asked("x", logprobs=True)).choices[0]
    assert empty.logprobs is not None and empty.logprobs.content == []
