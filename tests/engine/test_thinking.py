"""Thinking is told from the answer by the model's own tokens, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine.loader import LoadedModel, load_model
from app.engine.plain import PlainEngine
from app.messages import Chunk, Message
from app.sampling import SamplingParams
from app.settings import Settings
from tests.engine.test_plain import wait
from tests.families.tiny_native import build

QUESTION = [Message.of("user", "Why?")]


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder: Path = build(tmp_path_factory.mktemp("model"), "4.6")
    return load_model(Settings(model=str(folder), port=1, device="cpu", dtype="fp32"), lambda *_: None)


@pytest.fixture
def engine(thinker: LoadedModel) -> Iterator[PlainEngine]:
    engine = PlainEngine(thinker)
    yield engine
    engine.close()


def say(monkeypatch: pytest.MonkeyPatch, loaded: LoadedModel, text: str) -> None:
    """Make the model answer with a text."""
    tokens: Sequence[int] = loaded.runner.tokenizer(text).input_ids

    def generate(*args: Any, streamer: Any = None, **kwargs: Any) -> torch.Tensor:
        if streamer is not None:
            for token in tokens:
                streamer.put(torch.tensor([token]))
            streamer.end()
        return torch.tensor([tokens])

    monkeypatch.setattr(loaded.runner, "generate", generate)


def texts(chunks: Sequence[Chunk]) -> tuple[str, str]:
    return "".join(chunk.thinking for chunk in chunks), "".join(chunk.text for chunk in chunks)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    ("thinking", "said", "thought", "answer"),
    [
        (True, "I count.\n</think>\n\nTwo cats.<|im_end|>", "I count.", "Two cats."),
        (True, "I count and", "I count and", ""),
        (False, "Two cats.<|im_end|>", "", "Two cats."),
        (False, "<think>\nI count.\n</think>\n\nTwo cats.<|im_end|>", "I count.", "Two cats."),
    ],
)
def test_thinking_and_answer_are_apart(
    engine: PlainEngine,
    thinker: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    thinking: bool,
    said: str,
    thought: str,
    answer: str,
    beams: int,
) -> None:
    say(monkeypatch, thinker, said)
    params = SamplingParams(do_sample=False, num_beams=beams, enable_thinking=thinking)
    chunks = wait(engine.submit(QUESTION, params))
    assert texts(chunks) == (thought, answer)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.new_tokens == len(thinker.runner.tokenizer(said).input_ids)
