"""MiniCPM-V 4.6 with random weights behind transformers serve: the answers of our own engine, Stop, options."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from app.backends.base import Backend
from app.errors import RequestError
from app.messages import Chunk, Message, Video
from app.sampling import SamplingParams
from app.session import Session
from tests.engines.conftest import ROOT, Engine, ask, drawn, greedy, serving, started_backend, until
from tests.families.tiny_native import build

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(900)]
BALL = ROOT / "assets" / "examples" / "ball.mp4"
SPECIAL = r"</?[a-z_]+>|<\|\w+\|>"  # tokens of which this engine's texts have none: <unk>, and those of places


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("checkpoint") / "tiny-4.6", "4.6")


@pytest.fixture(scope="module")
def engine(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with serving("transformers", checkpoint, tmp_path_factory.mktemp("engine")) as started:
        yield started


@pytest.fixture(scope="module")
def backend(engine: Engine, checkpoint: Path) -> Iterator[Backend]:
    """It lists no models, so that the page is told which."""
    with started_backend(base_urls=[engine.url], backend="openai", served_model=str(checkpoint)) as made:
        yield made


@pytest.fixture(scope="module")
def local(checkpoint: Path) -> Iterator[Backend]:
    """Our own engine with the same weights."""
    with started_backend(model=str(checkpoint), device="cpu", dtype="fp32") as made:
        yield made


def conversation(name: str) -> tuple[list[Message], dict[str, object]]:
    """Messages, and the options they are asked with."""
    red, blue, say = drawn("red"), drawn("blue", "square"), Message.of
    return {
        "text": ([say("user", "Hello, who are you?")], {}),
        "picture": ([say("user", red, "What is in the picture?")], {}),
        "large picture": ([say("user", drawn("green", size=900), "图片里有什么？")], {}),
        "text between": ([say("user", "This is the first:", red, "This is the second:", blue, "What is red?")], {}),
        "two turns": (
            [say("user", red, "What is in the picture?"), say("assistant", "a red circle"), say("user", "What shape?")],
            {},
        ),
        "system prompt": ([say("user", red, "What colour?")], {"system_prompt": "Answer in one word."}),
        "penalty": ([say("user", "Hello!")], {"repetition_penalty": 1.3}),
    }[name]


def whole(text: str) -> str:
    """Without what this engine leaves out: special tokens, and a last character that is not whole."""
    return re.sub(SPECIAL, "", text).strip().rstrip("\ufffd")


def test_the_engine_is_found_out(backend: Backend, checkpoint: Path) -> None:
    assert backend.capabilities.model == f"{checkpoint} · transformers serve"
    assert not backend.capabilities.beam_search
    assert not {"top_k", "repetition_penalty"} & backend.capabilities.hidden_options


@pytest.mark.parametrize(
    "name", ["text", "picture", "large picture", "text between", "two turns", "system prompt", "penalty"]
)
def test_prompt_and_answer_are_those_of_our_own_engine(backend: Backend, local: Backend, name: str) -> None:
    messages, options = conversation(name)
    ours, our_chunks = ask(local, messages, **options)
    theirs, their_chunks = ask(backend, messages, **options)
    assert whole(theirs) == whole(ours)
    assert sum(bool(chunk.text) for chunk in their_chunks) >= 4  # it streams
    usage, own = their_chunks[-1].usage, our_chunks[-1].usage
    assert usage is not None and own is not None
    assert (usage.prompt_tokens, usage.new_tokens) == (own.prompt_tokens, own.new_tokens)


def test_a_clip_is_looked_at(backend: Backend) -> None:
    _, chunks = ask(backend, [Message.of("user", Video(BALL), "What colour is the ball?")], max_frames=4)
    usage = chunks[-1].usage
    assert usage is not None and usage.prompt_tokens > 4 * 64 and usage.new_tokens == 24


def test_the_models_own_end_is_kept_beside_the_options_sent(checkpoint: Path, tmp_path: Path) -> None:
    """Options go as a generation_config of their own, which must not hide the model's end tokens."""
    ended = tmp_path / "ended"
    ended.mkdir()
    for file in checkpoint.iterdir():
        (ended / file.name).write_bytes(file.read_bytes())
    question = [Message.of("user", drawn("red"), "What is in the picture?")]
    with started_backend(model=str(checkpoint), device="cpu", dtype="fp32") as local:
        text, _ = ask(local, question)
    tokens = Tokenizer.from_file(str(ended / "tokenizer.json"))
    third = tokens.encode(text, add_special_tokens=False).ids[2]
    fields = json.loads((ended / "generation_config.json").read_text())
    fields["eos_token_id"] = [fields["eos_token_id"], third]
    (ended / "generation_config.json").write_text(json.dumps(fields))
    with (
        serving("transformers", ended, tmp_path) as engine,
        started_backend(base_urls=[engine.url], backend="openai", served_model=str(ended)) as backend,
    ):
        _, chunks = ask(backend, question)
    usage = chunks[-1].usage
    assert chunks[-1].finish_reason == "stop" and usage is not None and usage.new_tokens <= 4


def test_stop_ends_the_answer_inside_the_engine(engine: Engine, backend: Backend) -> None:
    """It has no metrics: that nothing is written any more shows in its processor time."""
    until(engine.rests)
    params = SamplingParams.of({"max_new_tokens": 4000, "seed": 3}, backend.capabilities.defaults)
    stream = backend.stream([Message.of("user", "Tell me a long story.")], params)
    next(chunk for chunk in stream if chunk.text)
    assert not engine.rests()
    stream.close()
    until(engine.rests, seconds=20)


def test_regenerate_and_a_follow_up(backend: Backend) -> None:
    session = Session()
    for _ in session.send(Message.of("user", drawn("red"), "What?").content, greedy(backend), backend):
        pass
    first = session.turns[-1].answer
    for _ in session.regenerate(greedy(backend), backend):
        pass
    assert session.turns[-1].answer == first and len(session.turns) == 1
    for _ in session.send(Message.of("user", "What shape is it?").content, greedy(backend), backend):
        pass
    assert [turn.state for turn in session.turns] == ["done", "done"]


def test_many_at_once_get_their_own_answers(backend: Backend) -> None:
    questions = [[Message.of("user", drawn(colour), f"Question {number}?")] for number in range(2)
                 for colour in ("red", "green", "blue")]  # fmt: skip
    alone = [ask(backend, question)[0] for question in questions]
    with ThreadPoolExecutor(len(questions)) as pool:
        assert list(pool.map(lambda question: ask(backend, question)[0], questions)) == alone


def test_a_seed_gives_the_same_answer_again(backend: Backend) -> None:
    def sampled(seed: int) -> str:
        values = {"do_sample": True, "temperature": 1.5, "max_new_tokens": 16, "seed": seed}
        params = SamplingParams.of(values, backend.capabilities.defaults)
        chunks: list[Chunk] = list(backend.stream([Message.of("user", "Tell me a story.")], params))
        return "".join(chunk.text for chunk in chunks)

    assert sampled(1) == sampled(1) != sampled(2)


def test_a_model_that_is_not_served(engine: Engine) -> None:
    with started_backend(base_urls=[engine.url], backend="openai", served_model="nope") as other:
        with pytest.raises(RequestError, match="nope") as caught:
            ask(other, [Message.of("user", "hello")])
        assert "--served-model" in caught.value.hint
