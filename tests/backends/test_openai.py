from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import Any

import pytest
from PIL import Image as Pictures

from app.backends.openai import OpenAIBackend
from app.errors import AppError, BackendBusyError, EngineDownError, GenerationError, RequestError, SettingsError
from app.messages import Chunk, Image, Message, Notice, Part, Video
from app.remote import pool
from app.remote.profiles import PROFILES
from app.sampling import SamplingParams
from app.session import Session
from app.settings import Settings
from benchmarks.ports import free_port

ROOT = Path(__file__).parents[2]


def load(path: Path) -> Any:
    """A module of the tests that is no test."""
    spec = spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = sys.modules[path.stem] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake_engine = load(ROOT / "tests" / "remote" / "fake_engine.py")
FakeEngine, serve = fake_engine.FakeEngine, fake_engine.serve
ENGINES = tuple(PROFILES)
Start = Callable[..., OpenAIBackend]
Serve = Callable[..., Any]


@pytest.fixture
def fake() -> Iterator[Serve]:
    """Serves a fake engine."""
    with ExitStack() as stack:
        yield lambda engine="vllm", **changes: stack.enter_context(serve(FakeEngine(engine, **changes)))


@pytest.fixture
def start() -> Iterator[Start]:
    """A backend in front of some servers, started and, unless told otherwise, looked around."""
    made: list[OpenAIBackend] = []

    def make(*fakes: Any, wait: bool = True, **settings: Any) -> OpenAIBackend:
        urls = [each if isinstance(each, str) else each.url for each in fakes]
        settings.setdefault("served_model", "minicpm-v" if getattr(fakes[0], "engine", "") == "transformers" else "")
        backend = OpenAIBackend.from_settings(Settings(model="m", backend="openai", base_urls=urls, **settings))
        made.append(backend)
        backend.start()
        if wait:
            until(lambda: backend.status().state != "loading")
        return backend

    yield make
    for backend in made:
        backend.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline, "it did not happen"
        sleep(0.01)


def dead_url() -> str:
    return f"http://127.0.0.1:{free_port()}"


def options(backend: OpenAIBackend, **values: Any) -> SamplingParams:
    return SamplingParams.of(values, backend.capabilities.defaults)


def chunks_of(backend: OpenAIBackend, *parts: Part | str, params: SamplingParams | None = None) -> list[Chunk]:
    message = Message.of("user", *(parts or ("hello",)))
    return list(backend.stream([message], params or options(backend)))


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def picture(colour: str = "red", size: tuple[int, int] = (30, 20)) -> Image:
    return Image(Pictures.new("RGB", size, colour))


def content(body: dict[str, Any]) -> list[str]:
    """The parts of the last message: texts as they are, else their kind."""
    found = body["messages"][-1]["content"]
    return [part["text"] if part["type"] == "text" else part["type"] for part in found]


def make_clip(path: Path, seconds: int = 3) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width = stream.height = 64
        for index in range(4 * seconds):
            container.mux(stream.encode(av.VideoFrame.from_image(Pictures.new("RGB", (64, 64), (20 * index, 0, 0)))))
        container.mux(stream.encode())
    return path


# --- every engine


@pytest.mark.parametrize("engine", ENGINES)
def test_auto_finds_out_what_it_is_and_says_so(engine: str, fake: Serve, start: Start, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        server = fake(engine)
        backend = start(server)
    assert PROFILES[engine].title in backend.capabilities.model and "minicpm-v" in backend.capabilities.model
    assert backend.status().state == "ready" and PROFILES[engine].title in backend.status().detail
    assert f"{PROFILES[engine].title}" in caplog.text and server.url in caplog.text


@pytest.mark.parametrize("engine", ENGINES)
def test_an_answer_streams_with_its_figures(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    server.delay = 0.01
    *chunks, last = chunks_of(start(server), "what is this?")
    assert [chunk.text for chunk in chunks if chunk.text] == ["one", " two", " three", " four"]
    assert last.finish_reason == "stop" and last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.new_tokens) == (3, 4)
    assert last.usage.cached_tokens == (3 if server.quirks.cached else 0) and last.usage.vision_tokens is None
    assert last.usage.ttft is not None and last.usage.tokens_per_second is not None
    assert server.last["messages"] == [{"role": "user", "content": "what is this?"}]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_answer_ends_at_max_new_tokens(engine: str, fake: Serve, start: Start) -> None:
    backend = start(fake(engine))
    chunks = chunks_of(backend, params=options(backend, max_new_tokens=2))
    assert text_of(chunks) == "one two" and chunks[-1].finish_reason == "length"


WHOLE = {"skip_special_tokens": False}  # boxes are written in special tokens
SENT = {
    "vllm": {"top_k": 7, "repetition_penalty": 1.3, "min_p": 0.0, "seed": 5} | WHOLE,
    "sglang": {"top_k": 7, "repetition_penalty": 1.3, "min_p": 0.0} | WHOLE,
    "llama-server": {"top_k": 7, "repeat_penalty": 1.3, "min_p": 0.0, "repeat_last_n": 32768, "seed": 5},
    "ollama": {"seed": 5},
    "transformers": {
        "seed": 5,
        "generation_config": {"top_k": 7, "repetition_penalty": 1.3, "do_sample": True, "min_p": 0.0},
    },
    "lmdeploy": {"top_k": 7, "repetition_penalty": 1.3, "min_p": 0.0, "seed": 5} | WHOLE,
    "minicpm": {
        "top_k": 7,
        "repetition_penalty": 1.3,
        "min_p": 0.0,
        "seed": 5,
        "mm_processor_kwargs": {"max_slice_nums": 4, "max_frames": 64, "downsample_mode": "16x"},
        "chat_template_kwargs": {"enable_thinking": False},
    },
}
ASKED = {"top_k": 7, "repetition_penalty": 1.3, "seed": 5, "max_slice_nums": 4}


@pytest.mark.parametrize("engine", ENGINES)
def test_options_go_by_the_engines_own_names_and_the_rest_is_hidden(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    backend = start(server)
    hidden = backend.capabilities.hidden_options
    shown = {name: value for name, value in ASKED.items() if name not in hidden}
    chunks_of(backend, params=options(backend, temperature=0.5, top_p=0.9, max_new_tokens=9, **shown))
    body = dict(server.last)
    if "generation_config" in body:
        body["generation_config"] = json.loads(body["generation_config"])
    always = {"model": "minicpm-v", "stream": True, "temperature": 0.5, "top_p": 0.9, "max_tokens": 9}
    usage = {"stream_options": {"include_usage": True}} if engine != "transformers" else {}
    del body["messages"]
    body.pop("min_tokens", None), body.pop("min_new_tokens", None)
    assert body == always | usage | SENT[engine]
    assert not set(SENT[engine]) & server.quirks.ignored


@pytest.mark.parametrize("engine", ENGINES)
def test_an_option_that_the_engine_does_not_take_is_refused_here(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    backend = start(server)
    for name in set(ASKED) & backend.capabilities.hidden_options:
        with pytest.raises(RequestError, match=f"{name} is .*{PROFILES[engine].title} takes no {name}") as caught:
            chunks_of(backend, params=options(backend, **{name: ASKED[name]}))
        assert caught.value.hint
    assert not server.requests


@pytest.mark.parametrize("engine", ENGINES)
def test_greedy_has_no_chance_in_it(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    backend = start(server)
    chunks_of(backend, params=options(backend, do_sample=False, num_beams=1))
    assert server.last["temperature"] == 0 and not {"top_p", "top_k", "seed", "n"} & set(server.last)
    if engine == "transformers":
        assert json.loads(server.last["generation_config"])["do_sample"] is False


def test_greedy_passes_the_session_where_beam_search_does_not(fake: Serve, start: Start) -> None:
    backend = start(fake("ollama"))
    session = Session()
    for _ in session.send(Message.of("user", "hi").content, options(backend, do_sample=False, num_beams=1), backend):
        pass
    assert session.turns[-1].answer == "one two three four"
    with pytest.raises(RequestError, match="Beam search"):
        list(session.send(Message.of("user", "hi").content, options(backend, do_sample=False), backend))


@pytest.mark.parametrize("engine", ENGINES)
def test_images_stay_where_the_user_put_them(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    chunks = chunks_of(start(server), "first", picture("red"), picture("blue"), "and last")
    assert text_of(chunks) == "one two three four"
    between = {
        "llama-server": ["first\n", "image_url", "\n", "image_url", "\nand last"],
    }.get(engine, ["first", "image_url", "image_url", "and last"])
    assert content(server.last) == between


@pytest.mark.parametrize("engine", ENGINES)
def test_a_video_goes_as_the_engine_looks_at_it(engine: str, fake: Serve, start: Start, tmp_path: Path) -> None:
    server = fake(engine)
    backend = start(server)
    clip = Video(make_clip(tmp_path / "a.mp4"))
    chunks = chunks_of(backend, clip, "what moves?", params=options(backend, max_frames=2))
    assert text_of(chunks) == "one two three four"
    assert any(chunk.progress and chunk.progress.stage == "decode_video" for chunk in chunks) or len(chunks) < 20
    kinds = [kind for kind in content(server.last) if kind.endswith("_url")]
    assert kinds == (["video_url"] if engine in ("vllm", "minicpm") else ["image_url"] * 2)


@pytest.mark.parametrize("engine", ENGINES)
def test_history_and_system_prompt_arrive(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    backend = start(server)
    messages = [
        Message.of("user", picture(), "what is it?"),
        Message.of("assistant", "a square"),
        Message.of("user", "and its colour?"),
    ]
    list(backend.stream(messages, options(backend, system_prompt="Be brief.")))
    roles = [(message["role"], type(message["content"]).__name__) for message in server.last["messages"]]
    assert roles == [("system", "str"), ("user", "list"), ("assistant", "str"), ("user", "str")]
    assert server.last["messages"][0]["content"] == "Be brief."


@pytest.mark.parametrize("engine", ENGINES)
def test_stop_ends_the_generation_in_the_engine(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    server.answer, server.delay = "word " * 2000, 0.01
    stream = start(server).stream([Message.of("user", "tell")], SamplingParams.of({}, PROFILES[engine].defaults))
    next(chunk for chunk in stream if chunk.text)
    assert server.running == 1
    stream.close()
    until(lambda: server.running == 0)
    assert (server.stopped, server.finished) == (1, 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_too_long_a_conversation_loses_its_oldest_turns(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    server.context = 40
    backend = start(server)
    turns = [[Message.of("user", "word " * 12), Message.of("assistant", "word " * 10)] for _ in range(3)]
    messages = [message for turn in turns for message in turn]
    chunks = list(backend.stream([*messages, Message.of("user", "and now?")], options(backend)))
    assert text_of(chunks) == "one two three four" and len(server.last["messages"]) == 3
    assert [note for chunk in chunks for note in chunk.notices] == [Notice("turns_dropped", 4)]
    with pytest.raises(RequestError, match=r"long|exceeds|context") as caught:
        chunks_of(backend, "word " * 60)
    assert "shorter text" in caught.value.hint


# --- what only some have


def test_our_own_endpoint_searches_as_we_do(fake: Serve, start: Start) -> None:
    server = fake("minicpm")
    backend = start(server)
    params = options(backend, do_sample=False, num_beams=4, repetition_penalty=1.4, max_slice_nums=2)
    assert text_of(chunks_of(backend, params=params)) == "one two three four"
    body = server.last
    assert (body["num_beams"], body["repetition_penalty"], body["stream"]) == (4, 1.4, True)
    assert body["mm_processor_kwargs"]["max_slice_nums"] == 2 and "temperature" not in body


def test_beam_search_of_vllm(fake: Serve, start: Start) -> None:
    server = fake("vllm")
    backend = start(server)
    assert backend.capabilities.beam_search
    assert "beam.repetition_penalty" in backend.capabilities.hidden_options
    *chunks, last = chunks_of(backend, params=options(backend, do_sample=False, num_beams=3))
    body = server.last
    assert (body["use_beam_search"], body["n"], body["temperature"], body["stream"]) == (True, 3, 0, False)
    assert "repetition_penalty" not in body and text_of(chunks) == "one two three four"
    assert last.finish_reason == "stop" and last.usage is not None and last.usage.new_tokens == 4


@pytest.mark.parametrize("engine", [name for name in ENGINES if name not in ("vllm", "minicpm")])
def test_beam_search_is_refused_elsewhere(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    backend = start(server)
    assert not backend.capabilities.beam_search
    with pytest.raises(RequestError, match="Beam search"):
        chunks_of(backend, params=options(backend, do_sample=False, num_beams=3))
    assert not server.requests


def test_slices_never_reach_the_engine_that_they_kill(fake: Serve, start: Start) -> None:
    server = fake("vllm")
    backend = start(server)
    with pytest.raises(RequestError, match="max_slice_nums") as caught:
        chunks_of(backend, picture(), "?", params=options(backend, max_slice_nums=1))
    assert "--mm-processor-kwargs" in caught.value.hint
    assert text_of(chunks_of(backend)) == "one two three four" and server.fault == ""


def test_frames_beyond_what_the_engine_looks_at_are_refused(fake: Serve, start: Start, tmp_path: Path) -> None:
    server = fake("vllm")
    backend = start(server)
    assert backend.capabilities.defaults["max_frames"] == 32
    clip = Video(make_clip(tmp_path / "a.mp4", seconds=34))
    with pytest.raises(RequestError, match=r"34 frames .* 32 of a video") as caught:
        chunks_of(backend, clip, "?", params=options(backend, max_frames=64))
    assert "Max Frames to 32" in caught.value.hint and not server.requests


def test_the_context_is_known(fake: Serve, start: Start) -> None:
    assert start(fake("vllm")).capabilities.context == 8192
    assert start(fake("llama-server")).capabilities.context == 4096
    assert start(fake("vllm"), fake("minicpm")).capabilities.context == 2048
    assert start(fake("ollama")).capabilities.context == 0


def test_an_unknown_engine_gets_standard_options_only(fake: Serve, start: Start, monkeypatch: Any) -> None:
    server = fake("lmdeploy")
    models = {"data": [{"id": "minicpm-v", "owned_by": "somebody"}]}
    monkeypatch.setattr(server, "quirks", fake_engine.Quirks(models))
    backend = start(server)
    chunks_of(backend)
    assert not {"top_k", "min_p", "repetition_penalty"} & set(server.last)
    assert {"top_k", "repetition_penalty", "max_slice_nums"} <= backend.capabilities.hidden_options


def test_the_name_to_ask_for_is_the_model_s_alone(fake: Serve, start: Start) -> None:
    server, other = fake("vllm", model="openbmb/MiniCPM-V-2_6"), fake("ollama")
    assert start(server, other).capabilities.served_model == "openbmb/MiniCPM-V-2_6"
    assert start(server).capabilities.model == "openbmb/MiniCPM-V-2_6 · vLLM 0.32.0"
    assert start(other, served_model="minicpm-v").capabilities.served_model == "minicpm-v"
    unknown = start(dead_url(), engine="vllm").capabilities
    assert (unknown.served_model, unknown.model) == ("MiniCPM-V", "MiniCPM-V · vLLM")


def test_mixed_servers_show_what_all_of_them_take(fake: Serve, start: Start) -> None:
    capabilities = start(fake("vllm"), fake("ollama")).capabilities
    assert {"top_k", "repetition_penalty"} <= capabilities.hidden_options and not capabilities.beam_search


# --- which model


def test_several_models_want_a_name(fake: Serve, start: Start, monkeypatch: Any) -> None:
    server = fake("ollama")
    models = {"data": [{"id": name, "owned_by": "library"} for name in ("llava", "qwen")]}
    monkeypatch.setattr(server, "quirks", fake_engine.Quirks(models))
    backend = start(server)
    assert backend.status().state == "away"
    assert "llava, qwen" in backend.status().detail
    with pytest.raises(SettingsError, match="--served-model"):
        chunks_of(backend, params=SamplingParams.of({}, PROFILES["ollama"].defaults))
    server.model = "llava"
    assert text_of(chunks_of(start(server, served_model="llava"))) == "one two three four"


def test_of_several_models_the_one_of_this_family_is_taken(fake: Serve, start: Start, monkeypatch: Any) -> None:
    server = fake("ollama")
    models = {"data": [{"id": name, "owned_by": "library"} for name in ("llava", "MiniCPM-V:8b")]}
    monkeypatch.setattr(server, "quirks", fake_engine.Quirks(models))
    server.model = "MiniCPM-V:8b"
    chunks_of(start(server))
    assert server.last["model"] == "MiniCPM-V:8b"


def test_a_list_of_models_that_fails_is_not_needed_for_a_model_that_is_named(
    fake: Serve, start: Start, monkeypatch: Any
) -> None:
    """That of transformers serve does where nothing was ever downloaded."""
    server = fake("transformers")
    monkeypatch.setitem(server.quirks.paths, "/v1/models", 500)
    backend = start(server, served_model="minicpm-v")
    assert backend.capabilities.model == "minicpm-v · transformers serve"
    assert text_of(chunks_of(backend)) == "one two three four"


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_a_wrong_model_is_told_in_the_engines_words(engine: str, fake: Serve, start: Start) -> None:
    with pytest.raises(RequestError, match=r"does not exist|is pinned to") as caught:
        chunks_of(start(fake(engine), served_model="nope"))
    assert "--served-model" in caught.value.hint


# --- the key


def test_the_key_comes_from_the_environment_and_shows_nowhere(
    fake: Serve, start: Start, monkeypatch: Any, caplog: Any
) -> None:
    server = fake("vllm")
    server.key = "sk-geheim"
    monkeypatch.setenv("MY_ENGINE_KEY", "sk-geheim")
    with caplog.at_level(logging.DEBUG):
        backend = start(server, api_key_env="MY_ENGINE_KEY")
        assert text_of(chunks_of(backend, "a private question")) == "one two three four"
    assert "geheim" not in caplog.text + backend.status().detail + repr(backend.capabilities)
    assert "private question" not in caplog.text


def test_without_a_key_nothing_of_the_environment_is_sent(fake: Serve, start: Start, monkeypatch: Any) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "of-another-service")
    server = fake("vllm")
    chunks_of(start(server))
    assert "of-another-service" not in str(server.headers[-1])
    assert server.headers[-1]["authorization"] == "Bearer none"


def test_a_missing_key_is_said(fake: Serve, start: Start, monkeypatch: Any) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(SettingsError, match="--api-key-env: the variable"):
        start(dead_url(), api_key_env="NO_SUCH_KEY")
    server = fake("vllm")
    server.key = "sk-geheim"
    backend = start(server)
    assert "Unauthorized" in backend.status().detail
    with pytest.raises(GenerationError, match="Unauthorized") as caught:
        chunks_of(backend, params=SamplingParams.of({}, PROFILES["vllm"].defaults))
    assert "--api-key-env" in caught.value.hint


# --- errors


@pytest.mark.parametrize("engine", ENGINES)
def test_a_refusal_is_told_in_the_engines_words(engine: str, fake: Serve, start: Start, monkeypatch: Any) -> None:
    server = fake(engine)
    backend = start(server)
    monkeypatch.setattr(server, "_readable", lambda part: False)
    with pytest.raises(RequestError, match="The image cannot be decoded") as caught:
        chunks_of(backend, picture(), "?")
    assert caught.value.hint
    assert text_of(chunks_of(backend)) == "one two three four"


def test_a_busy_engine_is_no_dead_one(fake: Serve, start: Start) -> None:
    server = fake("vllm")
    backend = start(server)
    server.fault = "429"
    with pytest.raises(BackendBusyError, match="Something is wrong inside"):
        chunks_of(backend)
    assert backend.status().state == "ready"


@pytest.mark.parametrize("fault", ["drop:2", "error:2", "end:2"])
@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_a_break_after_the_first_token_keeps_the_part_and_offers_to_retry(
    engine: str, fault: str, fake: Serve, start: Start
) -> None:
    broken, other = fake(engine), fake(engine)
    backend = start(broken, other)
    broken.fault = other.fault = fault
    session = Session()
    for _ in session.send(Message.of("user", "tell").content, options(backend), backend):
        pass
    turn = session.turns[-1]
    assert (turn.state, turn.answer) == ("failed", "one two")
    assert turn.error is not None and "Regenerate" in str(turn.error)
    assert len(broken.requests) + len(other.requests) == 1
    broken.fault = other.fault = ""
    for _ in session.regenerate(options(backend), backend):
        pass
    assert (session.turns[-1].state, session.turns[-1].answer) == ("done", "one two three four")


def test_the_engine_s_words_about_a_request_are_for_who_asked(fake: Serve, start: Start, monkeypatch: Any) -> None:
    monkeypatch.setattr(pool, "FIRST_WAIT", 60.0)
    server = fake("vllm")
    backend = start(server)
    server.fault = "500"
    with pytest.raises(EngineDownError, match="Something is wrong inside"):
        chunks_of(backend)
    status = backend.status()
    assert status.state == "away" and status.detail == f"The engine at {server.url} answered with the status 500."
    assert "wrong inside" not in str(backend._nobody())


# --- several servers


@pytest.mark.parametrize("fault", ["500", "503", "429", "drop:0", "error:0", "end:0"])
def test_a_break_before_the_first_token_is_tried_elsewhere(fault: str, fake: Serve, start: Start) -> None:
    broken, other = fake("vllm"), fake("vllm")
    backend = start(broken, other)
    broken.fault = fault
    assert text_of(chunks_of(backend)) == "one two three four"
    assert len(broken.requests) == len(other.requests) == 1


def test_it_is_tried_elsewhere_once(fake: Serve, start: Start) -> None:
    servers = [fake("vllm") for _ in range(3)]
    backend = start(*servers)
    for server in servers:
        server.fault = "500"
    with pytest.raises(GenerationError, match="Something is wrong inside"):
        chunks_of(backend)
    assert sum(len(server.requests) for server in servers) == 2


def begun(backend: OpenAIBackend, text: str, user: str) -> Any:
    """An answer whose first words have come."""
    stream = backend.stream([Message.of("user", text)], options(backend), user)
    next(chunk for chunk in stream if chunk.text)
    return stream


def test_a_conversation_stays_on_its_server_and_others_go_to_the_least_loaded(fake: Serve, start: Start) -> None:
    first, second = fake("vllm"), fake("vllm")
    first.answer = second.answer = "word " * 2000
    first.delay = second.delay = 0.01
    backend = start(first, second)
    running = [begun(backend, "tell", user) for user in "abcd"]
    assert first.running == second.running == 2
    for stream in running:
        stream.close()
    first.answer = second.answer = "word"
    homes = [len(first.requests), len(second.requests)]
    for _ in range(3):
        turns = [Message.of("user", "tell"), Message.of("assistant", "word"), Message.of("user", "more")]
        list(backend.stream(turns, options(backend), "b"))
    assert [len(first.requests), len(second.requests)] in ([homes[0] + 3, homes[1]], [homes[0], homes[1] + 3])


def test_a_dead_server_is_taken_out_and_comes_back(fake: Serve, start: Start) -> None:
    living = fake("vllm")
    with serve(FakeEngine("vllm")) as dying:
        backend = start(dying, living)
        port = int(dying.url.rpartition(":")[2])
        for user in "ab":
            list(backend.stream([Message.of("user", "hi")], options(backend), user))
        assert len(dying.requests) == 1
    for user in "abcd":
        chunks = list(backend.stream([Message.of("user", "hi")], options(backend), user))
        assert text_of(chunks) == "one two three four"
    assert len(living.requests) == 5
    assert [server.up for server in backend._pool.servers] == [False, True]
    with serve(FakeEngine("vllm"), port) as risen:
        until(lambda: all(server.up for server in backend._pool.servers))
        for user in "efgh":
            list(backend.stream([Message.of("user", "hi")], options(backend), user))
        assert risen.requests


def test_an_engine_whose_core_died_counts_as_dead(fake: Serve, start: Start) -> None:
    server = fake("vllm")
    server.health = 503
    backend = start(server)
    assert backend.status().state == "away"
    server.health = 200
    until(lambda: backend.status().state == "ready")


def test_what_becomes_of_an_engine_is_noticed_while_nobody_asks(start: Start, monkeypatch: Any) -> None:
    monkeypatch.setattr(pool, "IDLE_WAIT", 0.1)
    with serve(FakeEngine("vllm")) as first:
        backend = start(first)
        port = int(first.url.rpartition(":")[2])
    until(lambda: backend.status().state == "away")
    with serve(FakeEngine("vllm"), port):
        until(lambda: backend.status().state == "ready")
        fake_engine.ENGINES["vllm"].paths["/version"]["version"] = "0.33.0"
        try:
            until(lambda: "0.33.0" in backend.capabilities.model)
        finally:
            fake_engine.ENGINES["vllm"].paths["/version"]["version"] = "0.32.0"


def test_another_engine_at_the_same_place_gets_options_by_its_own_names(start: Start, monkeypatch: Any) -> None:
    monkeypatch.setattr(pool, "IDLE_WAIT", 0.1)
    server = FakeEngine("vllm")
    with serve(server):
        backend = start(server)
        # In the moment between two looks.
        server.engine, server.quirks = "llama-server", fake_engine.ENGINES["llama-server"]
        until(lambda: "llama-server" in backend.capabilities.model)
        chunks_of(backend, params=options(backend, repetition_penalty=1.3))
    assert server.last["repeat_penalty"] == 1.3 and "repetition_penalty" not in server.last


def test_a_busy_engine_is_not_looked_at(fake: Serve, start: Start, monkeypatch: Any) -> None:
    monkeypatch.setattr(pool, "IDLE_WAIT", 0.1)
    server = fake("vllm")
    server.answer, server.delay = "word " * 5000, 0.01
    backend = start(server)
    stream = begun(backend, "tell", "a")
    server.health = 503
    sleep(1.5)
    assert backend.status().state == "ready"
    stream.close()
    until(lambda: backend.status().state == "away")


def test_a_look_during_which_an_answer_begins_is_not_believed(fake: Serve, start: Start, monkeypatch: Any) -> None:
    server = fake("vllm")
    server.answer, server.delay = "word " * 5000, 0.01
    backend = start(server)
    looking, go, looked = Event(), Event(), Event()

    async def slow(*args: Any) -> Any:
        looking.set()
        while not go.is_set():
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.1, looked.set)
        raise GenerationError("It is slow.")

    monkeypatch.setattr("app.backends.openai.examine", slow)
    backend._pool.servers[0].retry_at = 0.0
    assert looking.wait(60)
    stream = begun(backend, "tell", "a")
    go.set()
    assert looked.wait(60) and backend.status().state == "ready"
    stream.close()


# --- an engine that is not there


def test_it_starts_without_the_engine_and_says_so(start: Start) -> None:
    url = dead_url()
    backend = start(url)
    status = backend.status()
    assert status.state == "away" and url in status.detail and "refused" in status.detail
    with pytest.raises(GenerationError, match="does not answer"):
        chunks_of(backend)


def test_unknown_engines_show_only_what_every_engine_takes(start: Start) -> None:
    capabilities = start(dead_url()).capabilities
    assert {"top_k", "repetition_penalty", "max_slice_nums", "seed"} <= capabilities.hidden_options
    assert not {"temperature", "top_p", "max_new_tokens"} & capabilities.hidden_options
    named = start(dead_url(), engine="llama-server").capabilities
    assert not {"top_k", "repetition_penalty"} & named.hidden_options and "llama-server" in named.model
    assert not start(dead_url()).settled


def test_a_silent_engine_leaves_signs_of_life_and_can_be_stopped(fake: Serve, start: Start) -> None:
    server = fake("vllm")
    backend = start(server)
    server.fault = "slow"
    stream = backend.stream([Message.of("user", "hi")], options(backend))
    progress = [next(stream).progress for _ in range(3)]
    assert all(step and step.stage == "prefill" for step in progress)
    stream.close()
    until(lambda: server.stopped == 1)


def test_closing_the_backend_ends_its_answers(fake: Serve, start: Start) -> None:
    server = fake("vllm")
    backend = start(server)
    server.fault = "slow"
    stream = backend.stream([Message.of("user", "hi")], options(backend))
    next(stream)
    backend.close()
    with pytest.raises(AppError):
        list(stream)


# --- weight


def test_no_torch_is_imported(fake: Serve) -> None:
    server = fake("llama-server")
    code = f"""
import sys
from app.backends.table import make_backend
from app.messages import Message, Image
from app.sampling import SamplingParams
from app.cli import parse_settings
from PIL import Image as Pictures
settings = parse_settings("m", 8885, ["--backend", "openai", "--base-url", "{server.url}/v1"])
backend = make_backend(settings)
backend.start()
params = SamplingParams.of({{}}, backend.capabilities.defaults)
message = Message.of("user", Image(Pictures.new("RGB", (9, 9))), "hi")
print("".join(chunk.text for chunk in backend.stream([message], params)))
print(*{{"torch", "transformers", "gradio", "av"}} & set(sys.modules))
"""
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ["one two three four", ""]


def test_the_page_comes_up_without_torch_and_without_the_engine() -> None:
    url = dead_url()
    code = f"""
import sys
from app.backends.table import make_backend
from app.cli import parse_settings
from app.ui.quick_start import no_stubs
with no_stubs():
    from app.ui.demo import build_demo
from app.ui.status_line import status_html
settings = parse_settings("m", 8885, ["--backend", "openai", "--base-url", "{url}"])
backend = make_backend(settings)
backend.start()
build_demo(backend, settings)
print(status_html(backend, "en"))
print(*{{"torch", "transformers", "av"}} & set(sys.modules))
backend.close()
"""
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    said, imported = output.splitlines()
    assert "does not answer" in said and url in said and imported == ""


def test_the_conversations_of_one_client_are_shared_out(fake: Serve, start: Start) -> None:
    """A program, or a page for many, asks as one user."""
    first, second = fake("vllm"), fake("vllm")
    first.answer = second.answer = "word " * 2000
    first.delay = second.delay = 0.01
    backend = start(first, second)
    running = [begun(backend, text, "api 127.0.0.1") for text in ("one", "two", "three", "four")]
    assert first.running == second.running == 2
    for stream in running:
        stream.close()


def test_a_server_that_was_started_with_another_model_is_looked_at_again(fake: Serve, start: Start) -> None:
    server = fake("vllm")
    backend = start(server)
    assert backend.capabilities.model.startswith("minicpm-v")
    server.model = "minicpm-o"
    with pytest.raises(RequestError):
        chunks_of(backend)
    assert text_of(chunks_of(backend)) == "one two three four"
    assert backend.capabilities.model.startswith("minicpm-o")


@pytest.mark.parametrize("engine", [name for name, profile in PROFILES.items() if name != "minicpm"])
def test_log_probabilities_are_passed_on_where_the_engine_tells_them(engine: str, fake: Serve, start: Start) -> None:
    server = fake(engine)
    backend = start(server, engine=engine)
    params = SamplingParams.of({}, backend.capabilities.defaults)
    message = [Message.of("user", "hi")]
    assert backend.capabilities.logprobs is PROFILES[engine].logprobs
    assert not any(chunk.logprobs for chunk in backend.stream(message, params))
    if not backend.capabilities.logprobs:
        with pytest.raises(RequestError, match="does not tell probabilities"):
            list(backend.stream(message, replace(params, logprobs=1)))
        return
    for count in (0, 2):
        chunks = list(backend.stream(message, replace(params, logprobs=count)))
        told = [(chunk.text, entry) for chunk in chunks for entry in chunk.logprobs]
        assert [text for text, _ in told] == ["one", " two", " three", " four"]
        assert all(entry.chosen.token == text and entry.chosen.data == text.encode() for text, entry in told)
        assert {len(entry.top) for _, entry in told} == {count}


def test_servers_tell_log_probabilities_if_all_of_them_do(fake: Serve, start: Start) -> None:
    assert start(fake("vllm"), fake("llama-server")).capabilities.logprobs
    assert not start(fake("vllm"), fake("ollama")).capabilities.logprobs
