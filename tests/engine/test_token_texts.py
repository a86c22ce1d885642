"""The bytes of single tokens."""

from __future__ import annotations

import pytest

from app.engine.token_texts import TokenTexts
from tests.modeling.golden import MODELS, load
from tests.modeling.legacy import LEGACY


@pytest.mark.parametrize("name", [*MODELS, *LEGACY])
@pytest.mark.parametrize("text", ["Hi there , ok", "世界 é 🎉", "a\n\n  b\tc"])
def test_the_tokens_of_a_text_have_its_bytes(name: str, text: str) -> None:
    tokenizer = load(name)[1]
    texts = TokenTexts(tokenizer)
    ids = tokenizer(text, add_special_tokens=False).input_ids
    # Some SentencePiece vocabularies put a space in front.
    assert b"".join(map(texts.bytes_of, ids)).decode().removeprefix(" ") == text


@pytest.mark.parametrize("name", [*MODELS, *LEGACY])
def test_every_id_has_bytes_and_those_that_fill_up_have_none(name: str) -> None:
    tokenizer = load(name)[1]
    texts = TokenTexts(tokenizer)
    assert all(texts.bytes_of(token) for token in range(len(tokenizer)))
    assert texts.bytes_of(len(tokenizer) + 100) == b""
    for token in tokenizer.all_special_ids:
        assert texts.bytes_of(token).decode() == tokenizer.convert_ids_to_tokens(token)
