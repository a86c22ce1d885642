"""The engine with the models of one image: the same answers as `model.chat`, and what they refuse."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image as PILImage

from app.engine import answer
from app.engine.detokenizer import StreamDecoder
from app.engine.plain import PlainEngine
from app.errors import RequestError
from app.messages import Image, Message
from app.sampling import SamplingParams
from tests.engine.conftest import loaded_model
from tests.engine.test_plain import GREEDY, prefill_of, text_of, usage_of, wait
from tests.modeling.golden import load
from tests.modeling.legacy import LEGACY, WITH_CONTEXT, LegacyCase, answer_of, legacy_cases

by_model = pytest.mark.parametrize("engine", LEGACY, indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[PlainEngine]:
    engine = PlainEngine(loaded_model(request.param))
    yield engine
    engine.close()


def messages_of(case: LegacyCase) -> list[Message]:
    first, *rest = case.msgs()
    pictures = [] if case.image is None else [Image(case.image)]
    return [
        Message.of("user", *pictures, first["content"]),
        *(Message.of(turn["role"], turn["content"]) for turn in rest),
    ]


@pytest.mark.parametrize(
    ("engine", "case"), [(case.model, case) for case in legacy_cases()], indirect=["engine"], ids=str
)
def test_answers_equal_the_golden_ones(engine: PlainEngine, case: LegacyCase) -> None:
    for decoding, params in (
        ("greedy", GREEDY),
        ("beam", replace(GREEDY, num_beams=3, repetition_penalty=1.2)),
    ):
        chunks = wait(engine.submit(messages_of(case), params))
        assert text_of(chunks) == case.expected[decoding]["text"]
        usage = usage_of(chunks)
        assert usage.prompt_tokens == len(case.expected["input_ids"])
        assert usage.vision_tokens == 64 * len(case.expected["slices"])


@by_model
def test_sampling_gives_an_answer(engine: PlainEngine) -> None:
    case = LegacyCase(engine._loaded.family and name_of(engine), "pub_single_small")
    params = SamplingParams.of({"max_new_tokens": 8, "seed": 1}, engine._loaded.family.defaults)
    assert usage_of(wait(engine.submit(messages_of(case), params))).new_tokens > 0


def name_of(engine: PlainEngine) -> str:
    return next(model for model in LEGACY if load(model)[0] is engine._loaded.model)


@by_model
def test_a_prompt_prefilled_in_parts_gives_the_same_answer(
    engine: PlainEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = LegacyCase(name_of(engine), "pub_multi_turn")
    monkeypatch.setattr(answer, "prefill_step", prefill_of(30))
    for decoding, beams in (("greedy", 1), ("beam", 3)):
        params = replace(GREEDY, num_beams=beams, repetition_penalty=1.2 if beams == 3 else 1.0)
        assert text_of(wait(engine.submit(messages_of(case), params))) == case.expected[decoding]["text"]


@by_model
def test_a_second_image_is_refused(engine: PlainEngine) -> None:
    picture = Image(PILImage.new("RGB", (40, 30)))
    with pytest.raises(RequestError, match="2 images; this model takes one"):
        wait(engine.submit([Message.of("user", picture, picture, "Which?")], GREEDY))


@by_model
def test_a_system_prompt_is_refused(engine: PlainEngine) -> None:
    message = Message.of("user", Image(PILImage.new("RGB", (40, 30))), "What?")
    with pytest.raises(RequestError, match="system prompt"):
        wait(engine.submit([message], replace(GREEDY, system_prompt="Be brief.")))


@pytest.mark.parametrize("engine", LEGACY[1:], indirect=True)
def test_no_image_is_refused_where_the_model_needs_one(engine: PlainEngine) -> None:
    with pytest.raises(RequestError, match="no image"):
        wait(engine.submit([Message.of("user", "Hello")], GREEDY))


@by_model
def test_an_image_may_come_in_a_later_turn(engine: PlainEngine) -> None:
    if name_of(engine) != "minicpm-v-2":
        first = Message.of("user", Image(PILImage.new("RGB", (40, 30))), "Hello")
        chat = [first, Message.of("assistant", "Hi"), Message.of("user", "What is it?")]
    else:
        picture = Image(PILImage.new("RGB", (40, 30)))
        chat = [Message.of("user", "Hello"), Message.of("assistant", "Hi"), Message.of("user", picture, "What is it?")]
    assert usage_of(wait(engine.submit(chat, GREEDY))).vision_tokens == 64


@pytest.mark.parametrize("model", LEGACY)
def test_the_image_stays_when_the_oldest_turns_go(model: str) -> None:
    engine = PlainEngine(replace(loaded_model(model), context=300))
    picture = Image(PILImage.new("RGB", (40, 30)))
    chat = [Message.of("user", picture, "Hello"), Message.of("assistant", "cat " * 30)]
    for _ in range(4):
        chat += [Message.of("user", "And now? " + "cat " * 20), Message.of("assistant", "yes")]
    try:
        chunks = wait(engine.submit([*chat, Message.of("user", "What is it?")], GREEDY))
    finally:
        engine.close()
    assert [notice.kind for chunk in chunks for notice in chunk.notices] == ["turns_dropped"]
    assert usage_of(chunks).vision_tokens == 64


def official_text(model: str, ids: list[int]) -> str:
    loaded, tokenizer, _ = load(model)
    return loaded.decode_answers([ids], tokenizer)[0]


@pytest.mark.parametrize("model", LEGACY)
def test_streamed_random_tokens_join_to_the_text_of_chat(model: str) -> None:
    loaded = loaded_model(model)
    tokenizer: Any = loaded.processor.tokenizer
    hidden = tokenizer.convert_tokens_to_ids(list(loaded.family.hidden_tokens))
    rng = random.Random(0)
    for _ in range(300):
        ids = [rng.randrange(3, len(tokenizer)) for _ in range(rng.randrange(1, 30))]
        decoder = StreamDecoder(tokenizer)
        pieces = [decoder.push(token) for token in ids if token not in hidden]
        assert "".join([*pieces, decoder.finish()]) == official_text(model, ids), ids


@pytest.mark.parametrize("model", WITH_CONTEXT)
def test_text_goes_out_as_soon_as_it_is_certain(model: str) -> None:
    tokenizer = load(model)[1]
    decoder = StreamDecoder(tokenizer)
    ids = tokenizer("one two three <ref>four</ref> five six", add_special_tokens=False).input_ids
    pieces = [decoder.push(token) for token in ids]
    assert "".join(pieces[:3]) != ""
    assert "".join([*pieces, decoder.finish()]) == tokenizer.decode(ids).strip()


def test_the_answer_of_chat_and_engine_agree_on_free_text() -> None:
    for model in LEGACY:
        engine = PlainEngine(loaded_model(model))
        picture = PILImage.linear_gradient("L").convert("RGB").resize((300, 200))
        wanted = load(model)[0].chat(
            image=picture,
            msgs=[{"role": "user", "content": "A <unk> and </s> typed."}],
            sampling=False,
            num_beams=1,
            repetition_penalty=1.0,
            max_new_tokens=24,
        )
        try:
            chunks = wait(engine.submit([Message.of("user", Image(picture), "A <unk> and </s> typed.")], GREEDY))
        finally:
            engine.close()
        assert text_of(chunks) == answer_of(wanted)
