"""The plain engine: the golden answers, cancelling, failing and going on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from app.engine import tickets
from app.engine.loader import LoadedModel
from app.engine.plain import PlainEngine
from app.engine.tickets import Ticket, drain
from app.errors import AppError, BackendBusyError, ContextLengthError, GenerationError, ImageError, OutOfMemoryError
from app.messages import Chunk, Image, Message, Usage, Video
from app.sampling import SamplingParams
from tests.engine.conftest import loaded_model
from tests.modeling.golden import Case, cases

GREEDY = SamplingParams(do_sample=False, num_beams=1, repetition_penalty=1.0, max_new_tokens=24)
QUESTION = [Message.of("user", "Write a short story about a cat and a mountain.")]


def wait(ticket: Ticket, seconds: float = 60) -> list[Chunk]:
    """All chunks of an answer; raises the error that ended it."""
    chunks: list[Chunk] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in drain(ticket, 0.1):
            if isinstance(event, AppError):
                raise event
            chunks.append(event)
            if event.finish_reason:
                return chunks
    raise TimeoutError("the answer did not end")


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.005)


def text_of(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def usage_of(chunks: Sequence[Chunk]) -> Usage:
    assert chunks[-1].usage is not None
    return chunks[-1].usage


def messages_of(case: Case) -> list[Message]:
    messages = []
    for turn in case.msgs():
        content = turn["content"] if isinstance(turn["content"], list) else [turn["content"]]
        messages.append(Message.of(turn["role"], *(p if isinstance(p, str) else Image(p) for p in content)))
    return messages


def plain_cases() -> list[Case]:
    """Golden conversations that the page can ask: one at a time, images in their turns, nothing but defaults."""
    return [
        case for case in cases() if not (case.spec["batched"] or case.spec["image_arg"] or case.spec["chat_kwargs"])
    ]


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, PlainEngine]]:
    made: dict[str, PlainEngine] = {}

    class Engines(dict[str, PlainEngine]):
        def __missing__(self, name: str) -> PlainEngine:
            made[name] = self[name] = PlainEngine(loaded_model(name))
            return self[name]

    yield Engines()
    for engine in made.values():
        engine.close()


@pytest.mark.parametrize("case", plain_cases(), ids=str)
@pytest.mark.parametrize("beams", [1, 3])
def test_answers_equal_model_chat(engines: dict[str, PlainEngine], case: Case, beams: int) -> None:
    engine = engines[case.model]
    penalty = 1.2 if beams == 3 else 1.0
    params = replace(GREEDY, num_beams=beams, repetition_penalty=penalty)
    chunks = wait(engine.submit(messages_of(case), params))
    loaded = loaded_model(case.model)
    wanted = loaded.model.chat(
        msgs=case.msgs(),
        tokenizer=loaded.processor.tokenizer,
        sampling=False,
        num_beams=beams,
        repetition_penalty=penalty,
        max_new_tokens=24,
    )
    assert text_of(chunks) == wanted


def test_usage_counts_prompt_vision_and_new_tokens(engines: dict[str, PlainEngine]) -> None:
    case = Case("minicpm-v-2_6", "pub_single_large")
    usage = usage_of(wait(engines[case.model].submit(messages_of(case), GREEDY)))
    assert usage.prompt_tokens == case.expected["untruncated_len"][0]
    assert usage.vision_tokens == 64 * len(case.expected["slices"])
    assert usage.new_tokens == len(case.expected["decode"]["greedy"]["generated_ids"][0])
    assert usage.ttft is not None and usage.ttft > 0
    assert usage.tokens_per_second is not None and usage.tokens_per_second > 0


def test_a_seed_repeats_an_answer_and_another_does_not(engine: PlainEngine) -> None:
    params = SamplingParams(max_new_tokens=24, seed=7, temperature=2.0, top_p=1.0, top_k=0)
    first, again, other = (text_of(wait(engine.submit(QUESTION, replace(params, seed=seed)))) for seed in (7, 7, 8))
    assert first == again != other


def test_finish_reason_tells_a_full_answer_from_a_cut_one(engine: PlainEngine) -> None:
    assert wait(engine.submit(QUESTION, replace(GREEDY, max_new_tokens=3)))[-1].finish_reason == "length"
    ended = wait(engine.submit(QUESTION, replace(GREEDY, max_new_tokens=2048)))
    assert ended[-1].finish_reason == "stop"
    assert usage_of(ended).new_tokens < 2048


def slow_down(monkeypatch: pytest.MonkeyPatch, loaded: LoadedModel, seconds: float) -> None:
    """Make every step of the language model take longer and never choose an end token."""
    original = loaded.model.llm.forward
    ends = loaded.processor.tokenizer.convert_tokens_to_ids(list(loaded.family.terminators))

    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        output = original(*args, **kwargs)
        output.logits[..., ends] = -1e9
        return output

    monkeypatch.setattr(loaded.model.llm, "forward", slow)


@pytest.mark.parametrize("beams", [1, 3])
def test_cancel_ends_within_a_token_and_the_next_request_is_served(
    engine: PlainEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, beams: int
) -> None:
    steps: list[float] = []
    with monkeypatch.context() as patch:
        slow_down(patch, loaded, 0.02)
        slow = loaded.model.llm.forward
        patch.setattr(loaded.model.llm, "forward", lambda *a, **k: (steps.append(0.0), slow(*a, **k))[1])
        ticket = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=1000, num_beams=beams))
        while len(steps) < 5:
            time.sleep(0.005)
        ticket.cancel()
        seen = len(steps)
        with pytest.raises(GenerationError, match="cancelled"):
            wait(ticket)
        assert len(steps) <= seen + 2
    assert text_of(wait(engine.submit(QUESTION, GREEDY)))


def test_a_cancelled_waiting_request_never_runs(
    engine: PlainEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down(monkeypatch, loaded, 0.02)
    running = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=60))
    waiting = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=1000))
    last = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=2))
    assert engine.place(last).number >= 1
    waiting.cancel()
    running.cancel()
    assert usage_of(wait(last)).new_tokens == 2


@pytest.mark.parametrize(
    ("error", "typed"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemoryError),
        (RuntimeError("MPS backend out of memory"), OutOfMemoryError),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), OutOfMemoryError),
        (ZeroDivisionError("secret prompt"), GenerationError),
    ],
)
def test_an_exception_in_generation_is_typed_and_the_engine_goes_on(
    engine: PlainEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, error: Exception, typed: type[AppError]
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(loaded.model.llm, "forward", fail)
        with pytest.raises(typed) as caught:
            wait(engine.submit(QUESTION, GREEDY))
    assert "secret" not in str(caught.value)
    assert caught.value.hint
    assert text_of(wait(engine.submit(QUESTION, GREEDY)))


def test_a_broken_file_is_its_own_error(engine: PlainEngine, tmp_path: Path) -> None:
    broken = tmp_path / "secret.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    with pytest.raises(ImageError) as caught:
        wait(engine.submit([Message.of("user", Image(broken), "What?")], GREEDY))
    assert "secret" not in str(caught.value)


def clip(path: Path, seconds: int, shade: int) -> Path:
    """A clip of one shade, two frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for _ in range(2 * seconds):
            picture = np.full((96, 128, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_videos_and_images_mixed_in_one_chat(engine: PlainEngine, loaded: LoadedModel, tmp_path: Path) -> None:
    first, second = clip(tmp_path / "a.mp4", 3, 40), clip(tmp_path / "b.mp4", 2, 200)
    content = (Video(first), Image(PILImage.new("RGB", (320, 240), "red")), Video(second), "Compare them.")
    chunks = wait(engine.submit([Message.of("user", *content)], GREEDY))
    per_slice = loaded.model.config.query_num
    stages = {chunk.progress.stage for chunk in chunks if chunk.progress}
    assert stages >= {"decode_video", "encode_images", "prefill"}
    # Three frames, one image, two frames; all too small to be cut.
    assert usage_of(chunks).vision_tokens == 6 * per_slice


def test_max_frames_bounds_a_long_clip(engine: PlainEngine, loaded: LoadedModel, tmp_path: Path) -> None:
    message = Message.of("user", Video(clip(tmp_path / "a.mp4", 20, 90)), "What happens?")
    chunks = wait(engine.submit([message], replace(GREEDY, max_frames=5)))
    assert usage_of(chunks).vision_tokens == 5 * loaded.model.config.query_num


def long_chat(turns: int, words: int) -> list[Message]:
    messages = []
    for turn in range(turns):
        messages += [Message.of("user", f"question {turn} " + "cat " * words), Message.of("assistant", "yes")]
    return [*messages, Message.of("user", "last question")]


def test_oldest_turns_go_first_when_the_context_is_full(loaded: LoadedModel) -> None:
    engine = PlainEngine(replace(loaded, context=300))
    try:
        chunks = wait(engine.submit(long_chat(6, 40), GREEDY))
        notices = [notice for chunk in chunks for notice in chunk.notices]
        assert [notice.kind for notice in notices] == ["turns_dropped"]
        assert notices[0].count > 0 and notices[0].count % 2 == 0
        kept = long_chat(6, 40)[notices[0].count :]
        assert usage_of(chunks).prompt_tokens == usage_of(wait(engine.submit(kept, GREEDY))).prompt_tokens
        assert usage_of(chunks).prompt_tokens <= 300 - GREEDY.max_new_tokens
    finally:
        engine.close()


def test_a_turn_that_cannot_fit_says_how_many_tokens_it_has(loaded: LoadedModel) -> None:
    engine = PlainEngine(replace(loaded, context=300))
    try:
        with pytest.raises(ContextLengthError) as caught:
            wait(engine.submit([Message.of("user", "cat " * 500)], GREEDY))
        assert caught.value.limit == 300 - GREEDY.max_new_tokens
        assert caught.value.tokens > caught.value.limit
        assert f"{caught.value.tokens:,}" in str(caught.value)
    finally:
        engine.close()


def test_a_full_queue_is_refused(engine: PlainEngine, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(monkeypatch, loaded, 0.02)
    monkeypatch.setattr(tickets, "MAX_WAITING", 2)
    sent = [engine.submit(QUESTION, replace(GREEDY, max_new_tokens=500))]
    while engine.place(sent[0]):
        time.sleep(0.005)
    sent += [engine.submit(QUESTION, GREEDY) for _ in range(2)]
    with pytest.raises(BackendBusyError):
        engine.submit(QUESTION, GREEDY)
    for ticket in sent:
        ticket.cancel()


def test_closing_ends_the_running_answer(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(monkeypatch, loaded, 0.02)
    engine = PlainEngine(loaded)
    ticket = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=1000))
    while engine.place(ticket):
        time.sleep(0.005)
    closer = threading.Thread(target=engine.close)
    closer.start()
    closer.join(10)
    assert not closer.is_alive()


def prefill_of(size: int) -> Callable[[Any], int]:
    return lambda device: size


def test_a_prompt_prefilled_in_parts_gives_the_same_answer(
    engine: PlainEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [Message.of("user", "cat mountain river " * 250)]
    whole = [text_of(wait(engine.submit(messages, replace(GREEDY, num_beams=beams)))) for beams in (1, 3)]
    monkeypatch.setattr("app.engine.answer.prefill_step", prefill_of(100))
    parts = [text_of(wait(engine.submit(messages, replace(GREEDY, num_beams=beams)))) for beams in (1, 3)]
    assert parts == whole
