"""A grown vocabulary: what was learned stays, and new tokens begin where what they mean was."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer

from finetune.tiny import tokens
from finetune.tiny.growing import INPUT, OUTPUT, grown


def test_rows_follow_their_tokens(tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    new = tokens.with_words(tokenizer, ["猫头鹰", " picture"])
    count = tokenizer.get_vocab_size()
    weights = {INPUT: torch.randn(count, 4), OUTPUT: torch.randn(count, 4), "other": torch.zeros(2)}
    after = grown(weights, tokenizer, new, {"猫头鹰": " picture"})
    assert after["other"] is weights["other"] and after[INPUT].shape == after[OUTPUT].shape == (new.get_vocab_size(), 4)
    for token, number in tokenizer.get_vocab().items():
        for name in (INPUT, OUTPUT):
            assert torch.equal(after[name][new.token_to_id(token)], weights[name][number]), token
    parts, (owl,), meant = (
        tokenizer.encode("猫头鹰").ids, new.encode("猫头鹰").ids, tokenizer.encode(" picture").ids[0],
    )  # fmt: skip
    assert torch.allclose(after[INPUT][owl], weights[INPUT][parts].mean(0))
    said = weights[OUTPUT]
    assert torch.allclose(after[OUTPUT][owl], said[parts[0]] + said[meant] - said.mean(0))
