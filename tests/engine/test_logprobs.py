"""Log probabilities of both engines are those of one plain pass through the model, whatever else is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from app.engine.batched import BatchedEngine
from app.engine.logprobs import score, watched
from app.engine.plain import PlainEngine
from app.engine.scheduler import StepRunner
from app.errors import OptionError
from app.messages import Chunk, Image, Message, TokenLogprob
from app.sampling import SamplingParams
from tests.engine.conftest import loaded_model
from tests.engine.test_plain import GREEDY, QUESTION, text_of, wait
from tests.generated import Generated, Kept, generated, one_pass
from tests.modeling.golden import MODELS
from tests.modeling.legacy import LEGACY

NAME = "minicpm-v-2_6"
ASKED = replace(GREEDY, logprobs=5)
SAMPLED = SamplingParams(temperature=0.7, top_k=4, repetition_penalty=1.3, max_new_tokens=24, seed=3, logprobs=5)


@pytest.fixture(scope="module", params=[PlainEngine, BatchedEngine])
def served(request: pytest.FixtureRequest) -> Iterator[Any]:
    engine = request.param(replace(loaded_model(NAME)), cache_bytes=64 * 1024**2)
    yield engine
    engine.close()


@pytest.fixture
def kept() -> Iterator[Kept]:
    with generated() as answers:
        yield answers


def entries_of(chunks: Sequence[Chunk]) -> list[TokenLogprob]:
    return [entry for chunk in chunks for entry in chunk.logprobs]


def written(entries: Sequence[TokenLogprob]) -> str:
    """Their text, without what is no character: how many marks stand for that, each vocabulary decides."""
    return b"".join(entry.chosen.data or b"" for entry in entries).decode("utf-8", "ignore")


def whole_characters(text: str) -> str:
    return text.replace("\ufffd", "")


def check(name: str, messages: Sequence[Message], entries: Sequence[TokenLogprob], answer: Generated) -> None:
    """Every entry is what one pass over prompt and answer says."""
    assert len(entries) == len(answer.told) > 4
    rows = one_pass(name, messages, answer.ids)
    for entry, place in zip(entries, answer.told, strict=True):
        row, token = rows[place], answer.ids[place]
        assert entry.chosen.logprob == pytest.approx(float(row[token]), abs=1e-4)
        assert [one.logprob for one in entry.top] == pytest.approx(row.topk(len(entry.top)).values.tolist(), abs=1e-4)


@pytest.mark.parametrize("engine_type", [PlainEngine, BatchedEngine])
@pytest.mark.parametrize("name", [*MODELS, *LEGACY])
def test_they_are_those_of_one_pass(name: str, engine_type: Any, kept: Kept) -> None:
    engine = engine_type(replace(loaded_model(name)), cache_bytes=64 * 1024**2)
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    messages = [Message.of("user", Image(PILImage.fromarray(noise)), "What is this?")]
    chunks = wait(engine.submit(messages, ASKED))
    again = wait(engine.submit(messages, ASKED))  # from what was kept of the first
    engine.close()
    first, second = kept.values()
    entries = entries_of(chunks)
    check(name, messages, entries, first)
    assert second.ids == first.ids and entries_of(again)[0].chosen.logprob == pytest.approx(
        entries[0].chosen.logprob, abs=1e-4
    )
    assert all(entry.top[0] == entry.chosen and len(entry.top) == 5 for entry in entries)
    # That of 2.5 is cleaned up, and in OmniLMM's a bad byte spoils its neighbours.
    if name not in ("minicpm-llama3-v-2_5", "omnilmm-12b"):
        assert written(entries).strip() == whole_characters(text_of(chunks))


@pytest.mark.parametrize(
    "params",
    [SAMPLED, replace(SAMPLED, do_sample=False, num_beams=1, min_new_tokens=24), replace(SAMPLED, logprobs=0)],
    ids=["sampling", "penalties", "no alternatives"],
)
def test_they_are_the_model_s_own_whatever_else_is_asked(served: Any, params: SamplingParams, kept: Kept) -> None:
    entries = entries_of(wait(served.submit(QUESTION, params)))
    (answer,) = kept.values()
    check(NAME, QUESTION, entries, answer)
    assert {len(entry.top) for entry in entries} == {params.logprobs}


def test_who_does_not_ask_gets_none_beside_one_who_does(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = wait(served.submit(QUESTION, ASKED))
    tickets = [served.submit(QUESTION, params) for params in (GREEDY, ASKED, GREEDY, SAMPLED)]
    without, asked, also_without, sampled = (wait(ticket) for ticket in tickets)
    assert not entries_of(without) and not entries_of(also_without)
    assert text_of(without) == text_of(asked) == text_of(alone)
    assert [entry.chosen.token for entry in entries_of(asked)] == [entry.chosen.token for entry in entries_of(alone)]
    assert entries_of(sampled)

    def never(*arguments: Any) -> None:
        raise AssertionError("it was computed for nobody")

    for place in ("app.engine.answer", "app.engine.choice"):
        monkeypatch.setattr(f"{place}.score", never)
    assert text_of(wait(served.submit(QUESTION, GREEDY))) == text_of(alone)


def test_entries_end_where_a_stop_text_ends_the_answer(served: Any) -> None:
    whole = wait(served.submit(QUESTION, ASKED))
    text, entries = text_of(whole), entries_of(whole)
    for length in (1, 3):
        at = len(text) // 2
        stop = text[at : at + length]
        ended = wait(served.submit(QUESTION, replace(ASKED, stop=(stop, "never said"))))
        shown, found = text_of(ended), entries_of(ended)
        assert shown == text[: text.index(stop)] and 0 < len(found) < len(entries)
        assert [one.chosen.token for one in found] == [one.chosen.token for one in entries[: len(found)]]
        # The last one is needed for the text, and no further one.
        needed = len(whole_characters(shown))
        assert len(written(found[:-1]).lstrip()) < needed <= len(written(found).lstrip())


def test_each_piece_comes_with_its_tokens(served: Any) -> None:
    text, found = "", []
    for chunk in wait(served.submit(QUESTION, ASKED)):
        text, found = text + whole_characters(chunk.text), [*found, *chunk.logprobs]
        # All that the text was made of, and at most a token whose text comes with the next piece.
        assert text == written(found).strip()[: len(text)] and len(written(found[:-1]).strip()) <= len(text)
    assert text


def test_an_answer_goes_on_with_its_probabilities_after_a_failure(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    engine = BatchedEngine(replace(loaded_model(NAME)), cache_bytes=64 * 1024**2)
    compute, steps = StepRunner.compute_batch, []

    def fail_once(self: StepRunner, *arguments: Any) -> None:
        compute(self, *arguments)
        steps.append(1)
        if len(steps) == 6:
            raise RuntimeError("a step failed")

    monkeypatch.setattr(StepRunner, "compute_batch", fail_once)
    entries = entries_of(wait(engine.submit(QUESTION, ASKED)))
    engine.close()
    (answer,) = kept.values()
    assert len(steps) > 6
    check(NAME, QUESTION, entries, answer)


def test_of_equally_likely_tokens_the_chosen_one_is_first() -> None:
    logits = torch.zeros(50)
    for token in (0, 7, 49):
        scored = score(logits, token, 3)
        assert scored.top[0] == (token, scored.logprob) and len(scored.top) == 3
    assert score(logits, 7, 0).top == ()


def test_a_model_that_is_not_watched_any_more_is_as_before() -> None:
    model = loaded_model(NAME).runner.generating_model
    with pytest.raises(ValueError), watched(model):
        assert model._forward_hooks
        raise ValueError
    assert not model._forward_hooks


@pytest.mark.parametrize("wrong", [{"logprobs": 21}, {"logprobs": -1}, {"logprobs": 1, "do_sample": False}])
def test_what_cannot_be_told_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="logprobs"):
        SamplingParams(**wrong)
