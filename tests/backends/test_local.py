"""The model in this process, from settings to streamed chunks."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.backends.base import Backend
from app.backends.local import LocalBackend, _joined
from app.backends.table import make_backend
from app.errors import AdapterError, DeviceError, ModelError, ModelNotFoundError, RequestError
from app.media.clip import Cancelled
from app.messages import Chunk, FrameChoice, Message, Progress, Video
from app.sampling import SamplingParams
from app.session import Session
from app.settings import Settings
from tests.adapters import make
from tests.checkpoints import untrained
from tests.engine.test_inspect import moving
from tests.families.tiny_native import build
from tests.modeling.golden import MODELS, checkpoint

PARAMS = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=12)
QUESTION = [Message.of("user", "Hello, what is this?")]


def settings(model: Path | str, **changes: Any) -> Settings:
    return Settings(**({"model": str(model), "port": 1, "device": "cpu", "dtype": "fp32"} | changes))


@pytest.fixture(params=MODELS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    backend = make_backend(settings(checkpoint(request.param)))
    yield backend
    backend.close()


def wait_until_ready(backend: Backend) -> None:
    deadline = time.monotonic() + 60
    while backend.status().state == "loading" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert backend.status().state == "ready"


def test_capabilities_are_known_before_loading(backend: Backend) -> None:
    assert backend.capabilities.model in ("MiniCPM-V 2.6", "MiniCPM-Llama3-V 2.5")
    assert backend.capabilities.context in (32768, 8192)
    assert backend.status().state == "loading"


def test_classes_of_the_library_have_no_chat(tmp_path: Path) -> None:
    folders = {checkpoint(MODELS[0]): True, build(tmp_path, "4.6"): False}
    for folder, has_chat in folders.items():
        assert make_backend(settings(folder)).capabilities.has_chat is has_chat


def test_a_question_asked_while_loading_waits_and_is_answered(backend: Backend, monkeypatch: Any) -> None:
    original = LocalBackend._load
    monkeypatch.setattr(LocalBackend, "_load", lambda self: (time.sleep(0.3), original(self)))
    backend.start()
    chunks = list(backend.stream(QUESTION, PARAMS))
    assert chunks[0].progress is not None and chunks[0].progress.stage == "load"
    assert chunks[-1].finish_reason
    assert "".join(chunk.text for chunk in chunks)


def test_there_is_a_chunk_at_least_every_tenth_of_a_second(backend: Backend, monkeypatch: Any) -> None:
    backend.start()
    wait_until_ready(backend)
    engine: Any = backend._engine  # type: ignore[attr-defined]
    original = engine._loaded.model.llm.forward
    monkeypatch.setattr(engine._loaded.model.llm, "forward", lambda *a, **k: (time.sleep(0.5), original(*a, **k))[1])
    chunks = list(backend.stream(QUESTION, SamplingParams(do_sample=False, num_beams=1, max_new_tokens=2)))
    assert sum(chunk == Chunk() for chunk in chunks) >= 4


@pytest.mark.parametrize("name", MODELS)
def test_a_waiting_request_hears_its_place_in_the_queue(name: str, monkeypatch: Any) -> None:
    backend = make_backend(replace(settings(checkpoint(name)), engine="plain"))
    backend.start()
    wait_until_ready(backend)
    engine: Any = backend._engine  # type: ignore[attr-defined]
    original = engine._loaded.model.llm.forward
    monkeypatch.setattr(engine._loaded.model.llm, "forward", lambda *a, **k: (time.sleep(0.1), original(*a, **k))[1])
    first = backend.stream(QUESTION, SamplingParams(max_new_tokens=500))
    while not next(first).text:
        pass
    second = backend.stream(QUESTION, PARAMS)
    assert next(second).progress == Progress("queue", 1)
    first.close()
    assert list(second)[-1].finish_reason
    backend.close()


def test_two_are_answered_at_once(backend: Backend) -> None:
    backend.start()
    wait_until_ready(backend)
    first = backend.stream(QUESTION, SamplingParams(max_new_tokens=2000, min_new_tokens=2000), "a")
    while not next(first).text:
        pass
    second = list(backend.stream(QUESTION, PARAMS, "b"))
    assert second[-1].finish_reason and "".join(chunk.text for chunk in second)
    assert not next(first).finish_reason, "the long answer goes on"
    first.close()


def test_closing_the_stream_frees_the_device(backend: Backend) -> None:
    backend.start()
    stream = backend.stream(QUESTION, SamplingParams(max_new_tokens=8000, temperature=2.0, top_p=1.0, top_k=0))
    while not next(stream).text:
        pass
    stream.close()
    assert list(backend.stream(QUESTION, PARAMS))[-1].finish_reason


def test_a_failed_load_is_told_to_everyone_who_asks(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint(MODELS[0]), tmp_path / "model"))
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"")
    backend = make_backend(settings(folder))
    backend.start()
    for _ in range(2):
        with pytest.raises(ModelError) as caught:
            list(backend.stream(QUESTION, PARAMS))
        assert caught.value.hint
    assert backend.status().state == "failed"
    assert backend.status().detail == str(caught.value)
    backend.close()


def test_a_model_that_is_not_there_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        make_backend(settings(tmp_path / "nothing"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU that is not there")
def test_a_device_that_is_not_there_fails_at_once() -> None:
    with pytest.raises(DeviceError, match="cuda"):
        make_backend(settings(checkpoint(MODELS[0]), device="cuda"))


def test_a_session_stops_and_goes_on(backend: Backend) -> None:
    backend.start()
    session = Session()
    wild = SamplingParams(max_new_tokens=8000, temperature=2.0, top_p=1.0, top_k=0)
    updates = session.send(QUESTION[0].content, wild, backend)
    while not next(updates).turn.answer:
        pass
    updates.close()
    assert session.turns[0].state == "stopped"
    for _ in session.send(QUESTION[0].content, PARAMS, backend):
        pass
    assert [turn.state for turn in session.turns] == ["stopped", "done"]


def test_a_checkpoint_says_itself_that_it_is_random(tmp_path: Path) -> None:
    assert make_backend(settings(untrained(tmp_path))).capabilities.random_weights
    assert not make_backend(settings(checkpoint(MODELS[0]))).capabilities.random_weights


def test_slices_are_those_that_the_checkpoint_is_configured_for(tmp_path: Path) -> None:
    assert make_backend(settings(checkpoint(MODELS[0]))).capabilities.defaults["max_slice_nums"] == 9
    fewer = Path(shutil.copytree(checkpoint(MODELS[0]), tmp_path / "fewer"))
    config = json.loads((fewer / "config.json").read_text())
    config["slice_config"]["max_slice_nums"] = 4
    (fewer / "config.json").write_text(json.dumps(config))
    assert make_backend(settings(fewer)).capabilities.defaults["max_slice_nums"] == 4
    asked = settings(fewer, option_defaults={"max_slice_nums": 2})
    assert make_backend(asked).capabilities.defaults["max_slice_nums"] == 2


def test_neighbouring_chunks_become_one_and_lose_nothing() -> None:
    step, end = Progress("prefill", 1, 2), Chunk(finish_reason="stop")
    joined = list(_joined([Chunk(thinking="a"), Chunk(thinking="b"), Chunk("c", progress=step), Chunk("d"), end]))
    assert joined == [Chunk("cd", progress=step, thinking="ab"), end]
    assert list(_joined([Chunk()])) == []


def test_an_estimate_that_takes_long_holds_up_nobody_and_ends_with_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def look_for_scenes(*arguments: Any, cancelled: Any, **options: Any) -> Any:
        begun.set()
        while not cancelled():
            time.sleep(0.01)
        ended.set()
        raise Cancelled

    monkeypatch.setattr("app.media.video.choose", look_for_scenes)
    backend = make_backend(settings(checkpoint(MODELS[0])))
    backend.start()
    wait_until_ready(backend)
    clip = Video(moving(tmp_path / "clip.mp4"), choice=FrameChoice(count=2, scenes=True))
    chunks = backend.stream([Message.of("user", clip, "What?")], PARAMS)
    assert any(chunk.text for chunk in chunks), "the answer is written meanwhile"
    assert begun.wait(10) and not ended.is_set()
    # Others are measured and answered.
    (*_, last) = backend.stream(QUESTION, PARAMS)
    assert last.usage is not None and last.usage.estimate is not None
    assert last.usage.estimate.tokens == last.usage.prompt_tokens
    chunks.close()
    assert ended.wait(10)
    backend.close()


def test_what_was_learned_of_the_time_outlives_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def started(dtype: str = "fp32") -> Backend:
        backend = make_backend(settings(checkpoint(MODELS[0]), dtype=dtype))
        backend.start()
        wait_until_ready(backend)
        return backend

    backend = started()
    list(backend.stream(QUESTION, PARAMS))
    backend.close()
    for dtype in ("fp32", "bf16"):
        again = started(dtype)
        measured = again.measure(QUESTION, PARAMS)
        assert measured and (measured.seconds is not None) == (dtype == "fp32")
        again.close()


def test_adapters_are_known_and_checked_before_loading(tmp_path: Path) -> None:
    adapter = make(MODELS[0], "ours", tmp_path)
    backend = make_backend(settings(checkpoint(MODELS[0]), adapters={"mine": str(adapter)}))
    assert backend.capabilities.adapters == ("mine",)
    with pytest.raises(AdapterError, match="there is none"):
        make_backend(settings(checkpoint(MODELS[0]), adapters={"mine": str(tmp_path / "nothing")}))


def test_an_adapter_that_does_not_fit_fails_the_load(tmp_path: Path) -> None:
    adapter = make(MODELS[0], "official", tmp_path)
    backend = make_backend(settings(checkpoint(MODELS[1]), adapters={"mine": str(adapter)}))
    backend.start()
    with pytest.raises(AdapterError, match="'mine' does not fit"):
        list(backend.stream(QUESTION, PARAMS))
    assert backend.status().state == "failed"
    backend.close()


def test_a_conversation_goes_on_with_another_adapter(tmp_path: Path) -> None:
    backend = make_backend(settings(checkpoint(MODELS[0]), adapters={"mine": str(make(MODELS[0], "ours", tmp_path))}))
    backend.start()
    session, answers = Session(), []
    for adapter in ("", "mine", "base"):
        for _ in session.send(QUESTION[0].content, replace(PARAMS, adapter=adapter), backend):
            pass
        answers.append(session.turns[-1].answer)
        session.clear()
    assert answers[0] == answers[2] != answers[1]
    with pytest.raises(RequestError, match=r"Adapter 'other' was asked; MiniCPM-V 2\.6 has base, mine"):
        list(session.send(QUESTION[0].content, replace(PARAMS, adapter="other"), backend))
    backend.close()
