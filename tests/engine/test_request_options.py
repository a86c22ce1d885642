"""Options that only programs ask for, in both engines: stop texts, min_p, numbered images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image as PILImage

from app.engine.batched import BatchedEngine
from app.engine.plain import PlainEngine
from app.errors import OptionError
from app.messages import Image, Message
from app.sampling import SamplingParams
from tests.engine.conftest import loaded_model
from tests.engine.test_plain import GREEDY, QUESTION, text_of, usage_of, wait

NAME = "minicpm-v-2_6"


@pytest.fixture(scope="module", params=[PlainEngine, BatchedEngine])
def served(request: pytest.FixtureRequest) -> Iterator[Any]:
    engine = request.param(replace(loaded_model(NAME)), cache_bytes=64 * 1024**2)
    yield engine
    engine.close()


@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_ends_before_a_stop_text(served: Any, beams: int) -> None:
    params = replace(GREEDY, num_beams=beams)
    whole = wait(served.submit(QUESTION, params))
    text = text_of(whole)
    stop = text[len(text) // 2 : len(text) // 2 + 3]
    ended = wait(served.submit(QUESTION, replace(params, stop=(stop, "never said"))))
    assert text_of(ended) == text[: text.index(stop)]
    assert ended[-1].finish_reason == "stop"
    usage = usage_of(ended)
    assert usage.prompt_tokens == usage_of(whole).prompt_tokens
    assert 0 < usage.new_tokens <= usage_of(whole).new_tokens
    if beams == 1:
        assert usage.new_tokens < usage_of(whole).new_tokens
    assert text_of(wait(served.submit(QUESTION, params))) == text


def test_a_stop_text_that_never_comes_changes_nothing(served: Any) -> None:
    whole, same = (wait(served.submit(QUESTION, replace(GREEDY, stop=stop))) for stop in ((), ("never said",)))
    assert text_of(whole) == text_of(same)


def test_min_p_of_one_leaves_the_likeliest_token_alone(served: Any) -> None:
    wild = SamplingParams(temperature=2.0, top_p=1.0, top_k=0, repetition_penalty=1.0, max_new_tokens=24, seed=3)
    greedy = text_of(wait(served.submit(QUESTION, GREEDY)))
    assert text_of(wait(served.submit(QUESTION, wild))) != greedy
    assert text_of(wait(served.submit(QUESTION, replace(wild, min_p=1.0)))) == greedy


def test_images_are_numbered_or_not(served: Any) -> None:
    asked = [Message.of("user", Image(PILImage.new("RGB", (64, 64), "red")), "What is it?")]
    numbered, bare = (
        usage_of(wait(served.submit(asked, replace(GREEDY, use_image_id=choice)))).prompt_tokens
        for choice in (True, False)
    )
    usual = usage_of(wait(served.submit(asked, GREEDY))).prompt_tokens
    assert bare < numbered == usual


@pytest.mark.parametrize("wrong", [{"min_p": 1.5}, {"min_p": -0.1}, {"stop": ("",)}])
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        SamplingParams(**wrong)
