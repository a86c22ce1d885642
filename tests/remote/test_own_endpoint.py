"""The page's backend in front of our own endpoint, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from PIL import Image as Pictures

from app.api.errors import ApiError
from app.backends.base import Capabilities
from app.backends.echo import EchoBackend
from app.backends.openai import OpenAIBackend
from app.errors import GenerationError, RequestError
from app.messages import Chunk, Image, Message, Progress
from app.sampling import RARE, SamplingParams
from app.session import Session
from app.settings import Settings
from tests.api.conftest import asked, served

DEFAULTS = {"temperature": 0.3, "beam.repetition_penalty": 1.4, "max_frames": 16}
OLD = Capabilities(
    "Old",
    max_images=1,
    video=False,
    system_prompt=False,
    few_shot=False,
    beam_search=False,
    context=2048,
    defaults=DEFAULTS,
    hidden_options=RARE | {"max_slice_nums"},
    random_weights=True,
    has_chat=False,
    logprobs=True,
)
NEW = Capabilities("New", hidden_options=frozenset(), adapters=("menu", "notes"))


class Model(EchoBackend):
    """One that takes what it is told to take, and keeps who asked."""

    def __init__(self, capabilities: Capabilities = NEW, steps: Sequence[Progress] = ()) -> None:
        super().__init__(delay=0)
        self._taken, self._steps = capabilities, steps
        self.users: list[str] = []

    @property
    def capabilities(self) -> Capabilities:
        return self._taken

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        self.users.append(user)
        for step in self._steps:
            yield Chunk(progress=step)
        yield from super().stream(messages, params, user)


Front = Callable[..., OpenAIBackend]


@pytest.fixture
def front() -> Iterator[Front]:
    """A backend in front of some models, each behind an endpoint of its own."""
    with ExitStack() as stack:

        def make(*models: Model, engine: str = "minicpm", **changes: Any) -> OpenAIBackend:
            urls = tuple(stack.enter_context(served(model, **changes)).url for model in models)
            backend = OpenAIBackend(Settings(model="m", backend="openai", base_urls=urls, engine=engine))
            stack.callback(backend.close)
            backend.start()
            until_up(backend)
            return backend

        yield make


def until_up(backend: OpenAIBackend) -> None:
    deadline = monotonic() + 60
    while not all(server.up for server in backend._pool.servers):
        assert monotonic() < deadline, "it did not find them"
        sleep(0.01)


def said(backend: OpenAIBackend, *parts: Any, user: str = "", **values: Any) -> str:
    params = SamplingParams.of(values, backend.capabilities.defaults)
    return "".join(chunk.text for chunk in backend.stream([Message.of("user", *parts)], params, user))


@pytest.mark.parametrize("engine", ["minicpm", "auto"])
@pytest.mark.parametrize("model", [OLD, NEW], ids=lambda model: model.model)
def test_the_page_knows_what_the_model_takes(model: Capabilities, engine: str, front: Front) -> None:
    found = front(Model(model), engine=engine).capabilities
    names = ("max_images", "video", "system_prompt", "few_shot", "beam_search", "context", "random_weights", "has_chat",
             "adapters", "logprobs")  # fmt: skip
    assert [getattr(found, name) for name in names] == [getattr(model, name) for name in names]
    assert {name: found.defaults.get(name) for name in model.defaults} == model.defaults
    assert {name for name in found.hidden_options if "." not in name} == model.hidden_options


def test_the_page_refuses_what_the_server_would(front: Front) -> None:
    model = Model(OLD)
    backend = front(model)
    picture = Image(Pictures.new("RGB", (8, 8)))
    params = SamplingParams.of({}, backend.capabilities.defaults)
    with pytest.raises(RequestError, match="2 images"):
        list(Session().send([picture, picture], params, backend))
    assert not model.users


def test_several_servers_take_what_all_of_them_take(front: Front) -> None:
    found = front(Model(NEW), Model(replace(OLD, adapters=("notes", "other")))).capabilities
    assert (found.max_images, found.video, found.adapters) == (1, False, ("notes",))
    assert found.hidden_options >= {"max_slice_nums"} | RARE


def test_an_adapter_and_the_rare_options_arrive(front: Front) -> None:
    backend = front(Model(NEW))
    assert "adapter='menu'" in said(backend, "hi", adapter="menu")
    assert "enable_thinking=True" in said(backend, "hi", enable_thinking=True)
    assert "adapter" not in said(backend, "hi")


def test_a_prompt_of_the_command_line_is_told_to_nobody() -> None:
    with served(Model(NEW), option_defaults={"system_prompt": "Be secretive.", "top_k": 7}) as server:
        card = httpx.get(f"{server.url}/v1/models").json()["data"][0]
    assert card["capabilities"]["defaults"] == {"top_k": 7} and "secretive" not in json.dumps(card)


def test_what_the_model_has_not_is_not_asked_of_it(front: Front) -> None:
    backend = front(Model(OLD))
    assert "max_slice_nums" not in said(backend, "hi")
    with pytest.raises(RequestError, match="max_slice_nums is 4"):
        said(backend, "hi", max_slice_nums=4)


@pytest.mark.parametrize("ours_first", [False, True])
def test_in_front_of_different_engines_the_defaults_suit_all(ours_first: bool) -> None:
    import tests.remote.fake_engine as fake_engine

    told = {"top_k": 7, "repetition_penalty": 1.3, "beam.repetition_penalty": 1.4, "temperature": 0.3}
    with served(Model(), option_defaults=told) as ours, fake_engine.serve(fake_engine.FakeEngine("ollama")) as theirs:
        urls = (ours.url, theirs.url) if ours_first else (theirs.url, ours.url)
        backend = OpenAIBackend(Settings(model="m", backend="openai", base_urls=urls))
        backend.start()
        until_up(backend)
        assert backend.capabilities.defaults["temperature"] == 0.3
        for values in ({}, {"do_sample": False, "num_beams": 1}):
            answers = [said(backend, "hi", user=user, **values) for user in "ab"]
            assert any("Message 1" in answer for answer in answers) and "one two three four" in answers
        backend.close()
    assert len(theirs.requests) == 2


class Losing(Model):
    """One whose first replicas are lost."""

    def __init__(self, lost: int, begun: str, steps: Sequence[Progress] = ()) -> None:
        super().__init__(steps=steps)
        self._lost, self._begun = lost, begun

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        if len(self.users) < self._lost:
            self.users.append(user)
            yield from (Chunk(progress=step) for step in self._steps)
            if self._begun:
                yield Chunk(self._begun)
            raise ApiError("The replica that wrote this answer has ended.", "", 503, "replica_lost")
        yield from super().stream(messages, params, user)


@pytest.mark.parametrize("steps", [(), (Progress("queue", 3),)], ids=["status", "event"])
def test_an_answer_whose_replica_was_lost_is_asked_for_once_more_at_the_same_place(
    steps: Sequence[Progress], front: Front
) -> None:
    model = Losing(1, "", steps)
    assert "Message 1" in said(front(model), "hi") and len(model.users) == 2
    model = Losing(9, "", steps)
    with pytest.raises(GenerationError, match="has ended"):
        said(front(model), "hi")
    assert len(model.users) == 2


def test_what_a_lost_replica_wrote_is_not_written_anew(front: Front) -> None:
    model = Losing(1, "beginning")
    with pytest.raises(GenerationError, match="has ended"):
        said(front(model), "hi")
    assert len(model.users) == 1


def test_the_users_of_a_page_are_told_apart_and_share_what_its_address_gets(front: Front) -> None:
    model = Model()
    backend = front(model)
    sessions = [Session(), Session()]
    for session in (*sessions, sessions[0]):
        said(backend, "hi", user=session.user)
    first, second, again = model.users
    assert first == again != second
    assert {name.partition("/")[0] for name in model.users} == {"api 127.0.0.1"}
    assert all(name.partition("/")[2] for name in model.users)
    # Nothing else of them is told, the addresses of programs least of all.
    said(backend, "hi", user="api 10.1.2.3/somebody")
    assert "10.1" not in model.users[-1] and "somebody" not in model.users[-1]


def test_a_name_is_a_part_of_its_own_address_and_no_other() -> None:
    model = Model()
    with served(model) as server:
        for name in ("api 10.0.0.1/x", "api 10.0.0.1", "../up", "x" * 1000):
            server.client().chat.completions.create(**asked("hi", model="New"), user=name)
    assert all(user.partition("/")[0] == "api 127.0.0.1" for user in model.users)
    assert max(map(len, model.users)) < 100


def test_the_place_in_the_queue_arrives(front: Front) -> None:
    steps = [Progress("queue", 3, seconds=4.5), Progress("decode_video", 2, 9)]
    backend = front(Model(steps=steps))
    chunks = list(backend.stream([Message.of("user", "hi")], SamplingParams()))
    told = list(dict.fromkeys(chunk.progress for chunk in chunks if chunk.progress))
    assert [step for step in told if step.stage != "prefill"] == steps
    assert "Message 1" in "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize("steps", [(), (Progress("queue", 3), Progress("prefill"))])
def test_stop_ends_the_work_behind_the_endpoint(steps: Sequence[Progress], front: Front) -> None:
    ended: list[bool] = []

    class Endless(Model):
        def stream(self, *args: Any, **kwargs: Any) -> Generator[Chunk, None, None]:
            try:
                yield from (Chunk(progress=step) for step in steps)
                while True:
                    yield Chunk("word ")
                    sleep(0.01)
            finally:
                ended.append(True)

    stream = front(Endless()).stream([Message.of("user", "hi")], SamplingParams())
    next(chunk for chunk in stream if chunk.text)
    assert not ended
    stream.close()
    deadline = monotonic() + 60
    while not ended:
        assert monotonic() < deadline, "it goes on"
        sleep(0.01)


def test_who_does_not_ask_hears_of_no_progress() -> None:
    with served(Model(steps=[Progress("queue", 3)])) as server:
        for options in ({}, {"stream_options": {"include_progress": True}}):
            body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, **options}
            reply = httpx.post(f"{server.url}/v1/chat/completions", json=body)
            assert ('"stage":"queue"' in reply.text) is bool(options)
            assert reply.text.rstrip().endswith("[DONE]")


def test_no_other_engine_is_told_who_asks(front: Front) -> None:
    import tests.remote.fake_engine as fake_engine

    with fake_engine.serve(fake_engine.FakeEngine("vllm")) as server:
        backend = OpenAIBackend(Settings(model="m", backend="openai", base_urls=(server.url,), engine="vllm"))
        backend.start()
        assert said(backend, "hi", user="somebody")
        backend.close()
    assert "user" not in server.last and "include_progress" not in server.last["stream_options"]
