"""Streamed pieces together are the text of the whole answer, and nothing half-made goes out."""

from __future__ import annotations

import json
import random

import pytest

from app.engine.detokenizer import StreamDecoder
from tests.modeling.golden import MODELS, cases, load


def stream(model: str, ids: list[int]) -> list[str]:
    decoder = StreamDecoder(load(model)[1])
    return [*(decoder.push(token) for token in ids), decoder.finish()]


@pytest.mark.parametrize("model", MODELS)
def test_pieces_join_to_the_decoded_answer(model: str) -> None:
    tokenizer = load(model)[1]
    answers = [
        row
        for case in cases(model)
        if "decode" in case.expected
        for decoding in case.expected["decode"].values()
        for row in decoding["generated_ids"]
    ]
    assert len(answers) > 50
    for ids in answers:
        assert "".join(stream(model, ids)) == tokenizer.decode(ids).strip()


@pytest.mark.parametrize("model", MODELS)
def test_random_tokens_join_too(model: str) -> None:
    tokenizer = load(model)[1]
    rng = random.Random(0)
    for _ in range(200):
        ids = [rng.randrange(len(tokenizer)) for _ in range(rng.randrange(1, 40))]
        assert "".join(stream(model, ids)) == tokenizer.decode(ids).strip(), json.dumps(ids)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", ["Stop . Wait , what ? I 'm sure it 's n't so !", "世界 🎉 ok", "  a\n\n b  \n"])
def test_text_of_all_kinds(model: str, text: str) -> None:
    tokenizer = load(model)[1]
    ids = tokenizer(text, add_special_tokens=False).input_ids
    pieces = stream(model, ids)
    assert "".join(pieces) == tokenizer.decode(ids).strip()
    assert not any("\ufffd" in piece for piece in pieces)


def test_clean_up_is_the_vocabularys_choice() -> None:
    said = {model: "".join(stream(model, load(model)[1]("stop .").input_ids)) for model in MODELS}
    assert said == {"minicpm-v-2_6": "stop .", "minicpm-llama3-v-2_5": "stop."}


@pytest.mark.parametrize("model", MODELS)
def test_text_goes_out_as_soon_as_it_is_certain(model: str) -> None:
    ids = load(model)[1]("one two three four five six").input_ids
    pieces = stream(model, ids)
    assert sum(bool(piece) for piece in pieces) > len(ids) // 2
