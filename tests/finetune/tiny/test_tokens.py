"""A tokenizer with the ids of the published one in order, in files that the application reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

import app.modeling  # noqa: F401  registers the family
from finetune.tiny import tokens

TEXTS = ("What colour is the star?", "这是什么颜色？", "0 1 23 Zq!\n\n  {}", "<box>1 2 3 4</box>", "naïve ½ 🎈")


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_ids_are_in_the_published_order(tokenizer: Tokenizer) -> None:
    size = tokenizer.get_vocab_size()
    assert tokenizer.token_to_id("!") == 0 and size == 460
    assert sorted(tokenizer.get_vocab().values()) == list(range(size))
    assert 256 < tokens.id_of(tokenizer, "<unk>") < size - len(tokens.CONTROL) - len(tokens.MARKUP)
    specials = [tokenizer.token_to_id(token) for token in (*tokens.CONTROL, *tokens.MARKUP)]
    assert specials == list(range(size - len(specials), size))


def test_a_token_that_is_missing_has_no_id(tokenizer: Tokenizer) -> None:
    with pytest.raises(KeyError, match="<audio>"):
        tokens.id_of(tokenizer, "<audio>")


def test_special_tokens_are_one_id_and_digits_stand_alone(tokenizer: Tokenizer) -> None:
    for token in ("<unk>", *tokens.CONTROL, *tokens.MARKUP):
        assert tokenizer.encode(token).ids == [tokenizer.token_to_id(token)]
    assert tokenizer.encode("123").tokens == ["1", "2", "3"]


def test_common_words_are_merged(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode(" What is the").ids) <= 4


def test_files_are_read_by_the_application(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokens.write(tokenizer, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "minicpmv", "version": 2.6}))
    read = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert read(text).input_ids == tokenizer.encode(text).ids
    assert (read.eos_token, read.bos_token, read.pad_token, read.unk_token) == (
        "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<unk>",
    )  # fmt: skip
    assert read.im_start_id == tokenizer.token_to_id("<image>")


def test_vocabulary_and_merges_agree_with_the_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokens.write(tokenizer, tmp_path)
    vocab = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    added = json.loads((tmp_path / "added_tokens.json").read_text("utf-8"))
    assert {**vocab, **added} == tokenizer.get_vocab()
    first, *merges = (tmp_path / "merges.txt").read_text("utf-8").splitlines()
    assert first.startswith("#version") and all(merge.replace(" ", "") in vocab for merge in merges)


def test_the_template_is_the_published_one(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokens.write(tokenizer, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "minicpmv", "version": 2.6}))
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    rendered = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(said, tokenize=False)
    assert rendered == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
    )


def test_words_become_tokens_of_their_own(tokenizer: Tokenizer) -> None:
    words = (" zebra", "猫头鹰", "猫")
    made = tokens.with_words(tokenizer, words)
    assert all(len(tokenizer.encode(word).ids) > 1 == len(made.encode(word).ids) for word in words)
    assert made.decode(made.encode("Is it a zebra? 猫头鹰。").ids) == "Is it a zebra? 猫头鹰。"
    for text in TEXTS:
        assert made.encode(text).tokens == tokenizer.encode(text).tokens
    size = made.get_vocab_size()
    assert sorted(made.get_vocab().values()) == list(range(size)) and size > tokenizer.get_vocab_size()
    specials = [made.token_to_id(token) for token in (*tokens.CONTROL, *tokens.MARKUP)]
    assert specials == list(range(size - len(specials), size))
    assert 256 < tokens.id_of(made, "<unk>") < specials[0] and made.encode("<unk>").ids == [made.token_to_id("<unk>")]
    assert tokens.with_words(made, words).to_str() == made.to_str(), "nothing is left to do"


def test_what_is_split_first_is_no_word(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="'a zebra' is split"):
        tokens.with_words(tokenizer, ["a zebra"])
