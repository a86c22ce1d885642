"""Answers on GPUs that are lent one at a time, by forks that do what ZeroGPU's do."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.backends.local import LocalBackend
from app.engine.lent import LONGEST, SHORTEST, LentEngine, gpu_seconds
from app.errors import BackendBusyError, ContextLengthError, DeviceError, GenerationError, MediaError, SettingsError
from app.messages import Chunk, Image, Message
from app.meter import Measured
from app.sampling import SamplingParams
from app.settings import Settings
from app.spaces import EMBEDDED
from tests.lender import Lender
from tests.modeling.golden import checkpoint

PARAMS = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=12)
STAR = EMBEDDED.parent / "examples" / "shot_2.png"


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Lender:
    module = Lender()
    monkeypatch.setitem(sys.modules, "spaces", module)
    return module


def settings(**changes: Any) -> Settings:
    return Settings(**({"model": str(EMBEDDED), "device": "cpu", "dtype": "fp32", "lent_gpu": True} | changes))


@pytest.fixture
def backend(lender: Lender) -> Iterator[LocalBackend]:
    backend = LocalBackend(settings())
    backend.start()
    # The launch of the page, which comes next, wants all weights.
    assert backend.status().state == "ready" and isinstance(backend._engine, LentEngine)
    yield backend
    backend.close()


def test_a_vision_table_is_said_to_be_without_effect(lender: Lender, caplog: pytest.LogCaptureFixture) -> None:
    backend = LocalBackend(settings(vision_table=2**24))
    backend.start()
    backend.close()
    assert "--vision-table has no effect" in caplog.text


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def test_a_fork_answers_as_this_process_would(backend: LocalBackend, lender: Lender) -> None:
    question = [Message.of("user", Image(STAR), "What colour is the star?")]
    chunks = list(backend.stream(question, PARAMS))
    assert chunks[0].progress is not None and chunks[0].progress.stage == "queue"
    usual = LocalBackend(settings(lent_gpu=False, engine="plain"))
    usual.start()
    assert text(chunks) == text(list(usual.stream(question, PARAMS))) != ""
    usual.close()
    usage = chunks[-1].usage
    assert usage is not None and usage.estimate is not None and usage.estimate.tokens == usage.prompt_tokens
    assert usage.estimate.free is None, "of a GPU that is not there, nothing is known"
    assert lender.pids and os.getpid() not in lender.pids


def test_the_duration_is_asked_by_request(backend: LocalBackend, lender: Lender) -> None:
    question = [Message.of("user", "Hello")]
    for limit in (12, 4000):
        backend_params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=limit, stop=("e", "a", "o", "i"))
        list(backend.stream(question, backend_params))
    assert lender.seconds[0] == SHORTEST < lender.seconds[1]


@pytest.mark.parametrize(
    ("measured", "new_tokens", "rate", "seconds"),
    [
        (None, 1, 20.0, SHORTEST),
        (None, 512, 20.0, 36),
        (Measured(4000, 3900, (), 0, 0, slices=64), 512, 20.0, 48),
        (Measured(4000, 3900, (), 0, 0, slices=64), 512, 60.0, 31),
        (None, 8192, 20.0, LONGEST),
    ],
)
def test_seconds(measured: Measured | None, new_tokens: int, rate: float, seconds: int) -> None:
    assert gpu_seconds(measured, new_tokens, rate) == seconds


def test_an_answer_nobody_waits_for_ends(backend: LocalBackend, lender: Lender) -> None:
    endless = SamplingParams(max_new_tokens=8000, min_new_tokens=8000)
    stream = backend.stream([Message.of("user", "Hello")], endless)
    while not next(stream).text:
        pass
    stream.close()
    # It is over when its fork has ended; the next one is served.
    assert list(backend.stream([Message.of("user", "Hello")], PARAMS))[-1].finish_reason


def test_errors_come_through_with_their_kind(backend: LocalBackend, lender: Lender, tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        list(backend.stream([Message.of("user", Image(tmp_path / "gone.png"), "What is it?")], PARAMS))
    lender.refuses = True
    with pytest.raises(GenerationError, match=r"quota exceeded: .* 3s left\)\. A smaller Max New Tokens") as caught:
        list(backend.stream([Message.of("user", "Hello")], PARAMS))
    assert "Refused" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [ContextLengthError(9, 8), BackendBusyError("Full.", "Wait.", 3.0), MediaError("No.")]
)
def test_errors_travel_between_processes(error: Any) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error) and str(arrived) == str(error) and vars(arrived) == vars(error)


def test_what_a_lent_gpu_cannot_do_is_said(lender: Lender) -> None:
    with pytest.raises(DeviceError, match="int4 weights need a GPU while they load"):
        LocalBackend(settings(dtype="int4"))
    backend = LocalBackend(settings(model=str(checkpoint("minicpm-v-2_6")), engine="batched"))
    backend.start()
    assert backend.status().state == "failed" and "lent for one answer" in backend.status().detail
    with pytest.raises(SettingsError):
        list(backend.stream([Message.of("user", "Hello")], PARAMS))
