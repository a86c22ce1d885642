"""`--compile`: the same tokens, and a sentence where it cannot work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from transformers.generation.continuous_batching import initialization, model_runner

from app.engine import compiling, scheduler
from app.engine.batched import BatchedEngine
from app.engine.choose import make_engine
from app.errors import SettingsError
from app.settings import Settings
from tests.engine.conftest import loaded_model
from tests.engine.test_batched import golden
from tests.engine.test_plain import GREEDY, text_of, wait
from tests.variants import briefly

NAME = "minicpm-v-2_6"
SETTINGS = Settings(model="any", cache_size=2**24, compile=True)


@pytest.mark.skipif(not compiling._finds_compiler(), reason="no C++ compiler here")
@pytest.mark.thorough
def test_both_engines_say_the_same_with_compiled_layers() -> None:
    loaded = replace(loaded_model(NAME))
    cases = golden(NAME)[:3]  # before anything is compiled
    said: list[str] = []

    def engines() -> Iterator[Any]:
        told = lambda fraction, detail: said.append(detail)  # noqa: E731
        yield make_engine(loaded, replace(SETTINGS, engine="plain"), on_status=told)
        yield BatchedEngine(loaded, cache_bytes=2**24)

    try:
        for engine in engines():
            assert all(part._compiled_call_impl is not None for part in compiling._parts(loaded.runner.language_model))
            for case, messages, expected in cases:
                assert text_of(wait(engine.submit(messages, GREEDY))) == expected, case
            engine.close()
    finally:
        compiling.undo(loaded.runner)
    assert len(said) == 1 and said[0].startswith("It is being compiled")


def test_where_it_cannot_work_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="not for mps"):
        compiling.require_compiler(torch.device("mps"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(SettingsError, match=r"no C\+\+ compiler \(g\+\+ or clang\+\+\) on this machine"):
        compiling.require_compiler(torch.device("cpu"))
    loaded = loaded_model(NAME)

    class Two:
        names = ("one", "two")

    with pytest.raises(SettingsError, match="--compile: adapters change the layers"):
        make_engine(replace(loaded, adapters=Two()), SETTINGS)
    on_gpu = replace(loaded, device=torch.device("cuda"))
    with pytest.raises(SettingsError, match="steps of the batched engine, and --engine plain was asked"):
        make_engine(on_gpu, replace(SETTINGS, engine="plain"))
    with pytest.raises(SettingsError, match="--compile has no effect with --backend openai"):
        Settings(model="any", backend="openai", base_urls=["http://127.0.0.1:1"], compile=True)


def test_a_compiler_that_fails_leaves_the_layers_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = loaded_model(NAME).runner

    def fail(*_: Any) -> None:
        raise RuntimeError("Python.h")

    monkeypatch.setattr(compiling, "_run", fail)
    with pytest.raises(SettingsError, match="python3-dev"):
        compiling.compile_layers(runner)
    assert all(part._compiled_call_impl is None for part in compiling._parts(runner.language_model))


class Recording(TorchDispatchMode):
    """As a CUDA graph on a CPU: keeps the operations with their tensors, and does them again in the same places."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert function is not torch.ops.aten._local_scalar_dense.default, "a recorded step must not wait for a number"
        made = function(*args, **(kwargs or {}))
        self.steps.append((function, args, kwargs or {}, made))
        return made

    def replay(self) -> None:
        self.replays += 1
        for function, args, kwargs, made in self.steps:
            tree_map(_put, made, function(*args, **kwargs))


def _put(place: Any, value: Any) -> None:
    if isinstance(place, torch.Tensor) and place.data_ptr() != value.data_ptr():
        place.copy_(value)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    """Recordings in the place of CUDA's graphs, as they are made."""
    made: list[Recording] = []

    def create() -> Recording:
        made.append(Recording())
        return made[-1]

    @contextmanager
    def capture(graph: Recording, stream: Any, pool: Any) -> Iterator[None]:
        with graph:
            yield

    monkeypatch.setattr(initialization, "get_accelerator_graph_name", lambda: "Recording")
    monkeypatch.setattr(model_runner, "get_memory_pools", lambda: (None, 0))
    monkeypatch.setattr(model_runner, "memory_pool_context", lambda pool: nullcontext())
    monkeypatch.setattr(model_runner, "create_accelerator_graph", create)
    monkeypatch.setattr(model_runner, "accelerator_graph_capture_context", capture)
    monkeypatch.setattr("transformers.generation.continuous_batching.utils.CudaGraphBuffer.__del__", lambda self: None)
    monkeypatch.setattr(scheduler, "RECORDED_READS", 256)
    return made


@pytest.mark.parametrize(
    "name",
    briefly([NAME], [NAME, "minicpm-llama3-v-2_5", "minicpm-v-2"]),
)
def test_recorded_steps_say_the_same_for_pictures_samples_and_many(name: str, recordings: list[Recording]) -> None:
    plain: Callable[..., Any] = lambda record: BatchedEngine(  # noqa: E731
        replace(loaded_model(name)), cache_bytes=2**24, record=record
    )
    sampled = replace(GREEDY, do_sample=True, temperature=1.3, repetition_penalty=1.2, seed=5)
    asked = [(messages, params) for _, messages, _ in golden(name)[:3] for params in (GREEDY, sampled)]
    said = []
    for record in (False, True):
        engine = plain(record)
        tickets = [engine.submit(messages, params) for messages, params in asked]
        said.append([text_of(wait(ticket)) for ticket in tickets])
        alone = [text_of(wait(engine.submit(messages, params))) for messages, params in asked]
        assert alone == said[-1]
        engine.close()
    assert said[0] == said[1]
    assert sum(one.replays for one in recordings) > 20
