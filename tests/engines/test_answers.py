"""The embedded model behind real engines, asked as the page asks: right answers, and those of our own engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.backends.base import Backend
from app.errors import GenerationError, RequestError
from app.messages import Image, Message, Video
from app.session import Session
from tests.embedded import QUERIES
from tests.engines.conftest import NAMES, ROOT, TINY, Engine, ask, drawn, greedy, serving, started_backend

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(900)]
CHECKPOINT = TINY
BALL = ROOT / "assets" / "examples" / "ball.mp4"


@pytest.fixture(scope="module")
def local() -> Iterator[Backend]:
    """Our own engine with the same weights."""
    with started_backend(model=str(TINY), device="cpu", dtype="fp32") as made:
        yield made


def conversation(name: str) -> tuple[list[Message], dict[str, str]]:
    """Messages, and the options they are asked with."""
    red, blue, green = drawn("red"), drawn("blue", "square"), drawn("green")
    say = Message.of
    return {
        "text": ([say("user", "Hello, who are you?")], {}),
        "picture": ([say("user", red, "What is in the picture?")], {}),
        "text first": ([say("user", "What is in the picture?", red)], {}),
        "chinese": ([say("user", red, "图片里有什么？")], {}),
        "two pictures": ([say("user", red, blue, "What colour is the square?")], {}),
        "text between": ([say("user", "This is the first:", red, "This is the second:", blue, "What is red?")], {}),
        "two turns": (
            [say("user", red, "What is in the picture?"), say("assistant", "a red circle"), say("user", "What shape?")],
            {},
        ),
        "examples": (
            [
                *(say("user", red, "Which colour?"), say("assistant", "red")),
                *(say("user", blue, "Which colour?"), say("assistant", "blue")),
                say("user", green, "Which colour?"),
            ],
            {},
        ),
        "system prompt": ([say("user", red, "What colour is the circle?")], {"system_prompt": "Answer in one word."}),
    }[name]


CONVERSATIONS = (
    *("text", "picture", "text first", "chinese", "two pictures", "text between", "two turns", "examples"),
    "system prompt",
)


def test_the_engine_is_found_out(engine: Engine, backend: Backend) -> None:
    assert engine.name in backend.capabilities.model.lower() and "minicpm-v" in backend.capabilities.model
    assert backend.capabilities.context >= 4096
    assert backend.capabilities.beam_search == (engine.name == "vllm")


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_what_is_drawn_is_what_is_answered(backend: Backend, colour: str) -> None:
    text, chunks = ask(backend, [Message.of("user", drawn(colour), "What is in the picture?")])
    assert text.strip().rstrip(".") == f"a {colour} circle"
    assert sum(bool(chunk.text) for chunk in chunks) >= 2  # it streams
    last = chunks[-1]
    assert last.finish_reason == "stop" and last.usage is not None
    assert last.usage.ttft is not None and 3 <= last.usage.new_tokens <= 8


def test_a_longer_answer_has_its_speed(backend: Backend) -> None:
    text, chunks = ask(backend, [Message.of("user", "Who are you?")])
    usage = chunks[-1].usage
    assert usage is not None and usage.new_tokens > 12 and "MiniCPM-V" in text
    assert usage.tokens_per_second and usage.tokens_per_second > 1


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_prompt_and_answer_are_those_of_our_own_engine(backend: Backend, local: Backend, name: str) -> None:
    messages, options = conversation(name)
    ours, our_chunks = ask(local, messages, **options)
    theirs, their_chunks = ask(backend, messages, **options)
    assert theirs.strip() == ours.strip()
    usage, own = their_chunks[-1].usage, our_chunks[-1].usage
    assert usage is not None and own is not None and usage.prompt_tokens == own.prompt_tokens


def test_a_picture_that_is_cut_into_slices(backend: Backend) -> None:
    shot = Image(ROOT / "assets" / "examples" / "shot_1.png")
    text, chunks = ask(backend, [Message.of("user", shot, "What is in the picture?")])
    assert "red circle" in text
    usage = chunks[-1].usage
    assert usage is not None and usage.prompt_tokens > 5 * QUERIES


def test_a_clip_is_looked_at(engine: Engine, backend: Backend) -> None:
    question = Message.of("user", Video(BALL), "What colour is the ball?")
    text, chunks = ask(backend, [question], max_frames=8)
    usage = chunks[-1].usage
    assert "red" in text and usage is not None and usage.prompt_tokens > 8 * QUERIES


def test_regenerate_and_a_follow_up(backend: Backend) -> None:
    session = Session()
    question = Message.of("user", drawn("red"), "What colour is the circle?").content
    for _ in session.send(question, greedy(backend), backend):
        pass
    first = session.turns[-1].answer
    for _ in session.regenerate(greedy(backend), backend):
        pass
    assert session.turns[-1].answer == first == "red" and len(session.turns) == 1
    for _ in session.send(Message.of("user", "What shape is it?").content, greedy(backend), backend):
        pass
    assert [turn.state for turn in session.turns] == ["done", "done"]
    assert "circle" in session.turns[-1].answer


def test_many_at_once_get_their_own_answers(backend: Backend) -> None:
    colours = ["red", "green", "blue"] * 4

    def colour_of(colour: str) -> str:
        return ask(backend, [Message.of("user", drawn(colour), "What colour is the circle?")])[0].strip()

    with ThreadPoolExecutor(len(colours)) as pool:
        assert list(pool.map(colour_of, colours)) == colours


def test_the_longest_answer_is_cut_where_it_was_asked(backend: Backend) -> None:
    text, chunks = ask(backend, [Message.of("user", drawn("red"), "What is in the picture?")], max_new_tokens=2)
    usage = chunks[-1].usage
    assert chunks[-1].finish_reason == "length" and usage is not None and usage.new_tokens == 2
    assert "a red circle".startswith(text.strip())


def test_what_is_too_long_is_refused_in_the_engines_words(backend: Backend) -> None:
    with pytest.raises(RequestError, match=r"context|length|tokens") as caught:
        ask(backend, [Message.of("user", "word " * 30_000)])
    assert "fewer images" in caught.value.hint
    assert ask(backend, [Message.of("user", drawn("red"), "What colour is the circle?")])[0].strip() == "red"


def test_the_oldest_turns_make_room(backend: Backend) -> None:
    long = [Message.of("user", "word " * 30_000), Message.of("assistant", "Yes.")]
    text, chunks = ask(backend, [*long, Message.of("user", drawn("red"), "What colour is the circle?")])
    assert text.strip() == "red"
    assert any(notice.kind == "turns_dropped" for chunk in chunks for notice in chunk.notices)


def test_a_model_that_is_not_served(engine: Engine) -> None:
    with started_backend(base_urls=[engine.url], backend="openai", served_model="nope") as other:
        if engine.name == "llama-server":  # it answers with the one it has
            assert ask(other, [Message.of("user", "hello")])[0]
            return
        with pytest.raises(RequestError, match="nope") as caught:
            ask(other, [Message.of("user", "hello")])
        assert "--served-model" in caught.value.hint


def test_slices_are_refused_before_they_reach_the_engine(backend: Backend) -> None:
    with pytest.raises(RequestError, match="max_slice_nums"):
        ask(backend, [Message.of("user", drawn("red"), "?")], max_slice_nums=1)


def test_beam_search(engine: Engine, backend: Backend) -> None:
    question = [Message.of("user", drawn("red"), "What is in the picture?")]
    if engine.name == "llama-server":
        with pytest.raises(RequestError, match="Beam search"):
            ask(backend, question, num_beams=3)
        return
    assert ask(backend, question, num_beams=3)[0].strip() == "a red circle"


def test_an_engine_that_ends_is_told(tmp_path: Path) -> None:
    with ExitStack() as stack:
        engine = stack.enter_context(serving(NAMES[0], TINY, tmp_path))
        with started_backend(base_urls=[engine.url], backend="openai") as backend:
            params = greedy(backend)
            assert ask(backend, [Message.of("user", "hello")])[0]
            stack.close()
            with pytest.raises(GenerationError, match="does not answer"):
                list(backend.stream([Message.of("user", "hello")], params))
