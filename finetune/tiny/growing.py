"""Tables of a language model for a vocabulary that has grown."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from tokenizers import Tokenizer
from torch import Tensor

INPUT, OUTPUT = "llm.model.embed_tokens.weight", "llm.lm_head.weight"


def grown(weights: Mapping[str, Tensor], old: Tokenizer, new: Tokenizer, meant: Mapping[str, str]) -> dict[str, Tensor]:
    """The weights with rows for the tokens of `new` instead of those of `old`.

    A new token is read as the mean of what it was made of, and said where its first part was said before; the more so
    where the words that it stands for would be.

    Args:
        weights: of a checkpoint, both tables (tokens, width) among them.
        new: has all tokens of `old`, under other ids.
        meant: text of a new token -> words in the old vocabulary that mean the same.
    """
    read, said = weights[INPUT], weights[OUTPUT]
    ids, stands_for = old.get_vocab(), {new.encode(text).ids[0]: words for text, words in meant.items()}
    inputs, outputs = [], []
    for token, number in sorted(new.get_vocab().items(), key=lambda item: item[1]):
        parts = [ids[token]] if token in ids else [part.id for part in old.model.tokenize(token)]
        row = said[parts[0]]
        if token not in ids and number in stands_for:
            row = row + said[old.encode(stands_for[number]).ids[0]] - said.mean(0)
        inputs.append(read[parts].mean(0))
        outputs.append(row)
    return {**weights, INPUT: torch.stack(inputs), OUTPUT: torch.stack(outputs)}
