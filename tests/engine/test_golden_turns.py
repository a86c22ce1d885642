"""Every golden conversation again, gone on with and edited: what is reused changes no token, in either engine.

What both engines say is compared with the golden tokens, and where there are none with a plain engine that keeps
nothing. They reuse the same positions, the batch those of whole pages; but not where layers look back less far than a
context, for there the library shares no pages (OmniLMM-12B, see docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from app.engine.batched import BatchedEngine
from app.engine.choose import Engine
from app.engine.plain import PlainEngine
from app.engine.scheduler import PAGE
from app.engine.tokens import Tokens
from app.engine.window import shares_beginnings
from app.messages import Image, Message, Text, Usage
from app.sampling import SamplingParams
from tests.engine.conftest import loaded_model
from tests.engine.golden_requests import GoldenRequest, golden_requests
from tests.engine.test_plain import usage_of, wait
from tests.modeling.golden import MODELS
from tests.modeling.legacy import LEGACY
from tests.variants import briefly

# Of an answer that is none of the golden ones.
NEW_TOKENS = 8
# Of a slice, where they are not 64.
FEATURES = {"minicpm-llama3-v-2_5": 96}
Made = Callable[..., Engine]
Ask = Callable[[Engine, Sequence[Message], SamplingParams], tuple[list[int], Usage]]


@pytest.fixture
def made() -> Iterator[Made]:
    """Makes engines of a model, which end with the test."""
    engines: list[Engine] = []

    def make(kind: type[PlainEngine | BatchedEngine], model: str, cache_bytes: int) -> Engine:
        engines.append(kind(replace(loaded_model(model)), cache_bytes=cache_bytes))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The tokens of an answer, one answer at a time, and its usage."""
    taken: list[int] = []
    take = Tokens.take

    def noted(tokens: Tokens, token: int) -> None:
        taken.append(token)
        take(tokens, token)

    monkeypatch.setattr(Tokens, "take", noted)

    def ask(engine: Engine, messages: Sequence[Message], params: SamplingParams) -> tuple[list[int], Usage]:
        taken.clear()
        usage = usage_of(wait(engine.submit(messages, params)))
        return list(taken), usage

    return ask


def gone_on(request: GoldenRequest) -> list[Message]:
    """A second question, after the golden answer."""
    return [*request.messages, Message.of("assistant", request.text), Message.of("user", "And what else is there?")]


def edited(request: GoldenRequest) -> list[Message]:
    """Another question about the same pictures."""
    *before, last = request.messages
    pictures = [part for part in last.content if isinstance(part, Image)]
    return [*before, Message("user", (*pictures, Text("Which shape is it?")))]


QUICK = ("minicpm-v-2_6", "minicpm-v-1")  # the newest way to place pictures, and the oldest


@pytest.mark.parametrize(
    "model",
    briefly(QUICK, [*MODELS, *LEGACY]),
)
def test_golden_conversations_again_gone_on_with_and_edited(model: str, made: Made, ask: Ask) -> None:
    fresh, plain = made(PlainEngine, model, 0), made(PlainEngine, model, 64 * 1024**2)
    batched = made(BatchedEngine, model, 64 * 1024**2)
    shares = shares_beginnings(loaded_model(model))
    assert shares == (model != "omnilmm-12b")
    for request in golden_requests(model):
        name, short = request.name, replace(request.params, max_new_tokens=NEW_TOKENS)
        first = (request.messages, request.params, request.tokens)
        changed = []
        for messages in (gone_on(request), edited(request)):
            expected, usage = ask(fresh, messages, short)
            assert usage.cached_tokens == usage.cached_slices == 0, name
            changed.append((messages, short, expected))
        reused: list[list[int]] = []
        for engine in (plain, batched):
            usages = []
            for turn, (messages, params, expected) in enumerate((first, first, *changed, first)):
                tokens, usage = ask(engine, messages, params)
                assert tokens == expected, (type(engine).__name__, name, turn)
                usages.append(usage)
            reused.append([usage.cached_tokens for usage in usages[1:]])
            prompt, vision = usages[0].prompt_tokens, usages[0].vision_tokens
            seen = {usage.cached_slices * FEATURES.get(model, 64) for usage in usages[1:]}
            assert seen == {vision}, "no picture is encoded again"
        again, after, instead, back = reused[0]
        assert again == prompt - 1 and after >= prompt and back >= instead > 0, name
        pages = [positions // PAGE * PAGE if shares else 0 for positions in (again, after, instead, again)]
        assert reused[1] == pages, name
