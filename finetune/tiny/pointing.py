"""A lesson for the language model: where to look in the picture before it answers.

Without it, "What colour is the star?" among several shapes stays for long at a guess between their colours: nothing
tells the model that there is something to be found. Here one attention head in the middle is told, for the last token
before an answer, which image tokens show what was asked for; for each token of a text that is read or of a description,
which show the next letters or the next object, else letters are skipped and read twice; and of things that are
counted, how much of its attention each should get: their number is what it then gives all of them together. A layer
before, such a token looks at what it says itself, which is where to go on from. Another head is told which words of the
examples have the place of the next one, else their form is not followed; and, for what is seen in one of several
pictures, which one that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.models.qwen2.modeling_qwen2 import Qwen2Model

from finetune.tiny.blocks import Block, language_block
from finetune.tiny.looks import Pointed, Way
from finetune.tiny.precision import low

# For each way of looking, whether it is the last head, which has other keys than the first, and in which layers. Ahead:
# the question has been read by then, and there is a layer left to tell it. Here: before that. Back: the form of an
# answer has to be known when what was found in the picture is put into words. Own: before anything is looked for.
HEADS: dict[Way, tuple[bool, tuple[int, ...]]] = {
    "ahead": (False, (2, 3)),
    "here": (False, (1,)),
    "back": (True, (1, 2)),
    "own": (True, (1,)),
}
# By layer: queries (B, heads, L, size) and keys (B, groups, L, size).
Attentions = dict[int, tuple[Tensor, Tensor]]
LAYERS = {layer for _, layers in HEADS.values() for layer in layers}
# Behind these is told how many letters were read out: before one is looked for, in the next ones.
EARLY = (1, 2)


@dataclass(slots=True)
class Reading:
    """What the language model makes of a conversation.

    Attributes:
        hidden: its last hidden state, (B, L, width). attentions: of each of `LAYERS`.
        between: what each layer of `EARLY` gives, (B, L, width).
    """

    hidden: Tensor
    attentions: Attentions
    between: dict[int, Tensor]


class Pointing:
    """What the tokens of a batch should look at.

    Args:
        asked: the rows of the batch, with their tokens; at least one.
    """

    def __init__(self, asked: Sequence[tuple[int, Pointed]]) -> None:
        self.rows = torch.tensor([row for row, _ in asked])
        self.at = torch.tensor([one.at for _, one in asked])
        self.shares = torch.tensor([one.share for _, one in asked])
        self.counted = torch.tensor([one.counted for _, one in asked])
        widest = max(len(one.wanted) for _, one in asked)
        filler = [0] * widest
        self.tokens = torch.tensor([[*one.wanted, *filler][:widest] for _, one in asked])
        self.weights = torch.tensor([[*one.wanted.values(), *filler][:widest] for _, one in asked], dtype=torch.float32)
        self.ways = [one.way for _, one in asked]
        self.total = float(self.shares.sum())

    def among(self, rows: Tensor, way: Way) -> tuple[Tensor, Tensor]:
        """Which of those that look this way are in these rows, and in which of these."""
        ours = torch.tensor([one == way for one in self.ways])
        found = ((self.rows[:, None] == rows) & ours[:, None]).nonzero()
        return found[:, 0], found[:, 1]


def read(model: Qwen2Model, embeds: Tensor, block: Block = language_block) -> Reading:
    """Run the language model's layers on (B, L, width).

    Padding stands on the right, where no earlier token sees it.

    Args:
        block: `language_block`, or what the compiler made of it.
    """
    length = embeds.shape[1]
    cosines, sines = (code[0].to(low()) for code in model.rotary_emb(embeds, torch.arange(length)[None]))
    mask = torch.full((length, length), -torch.inf).triu(1)
    hidden, attentions, between = embeds.float(), {}, {}
    for index, layer in enumerate(model.layers):
        hidden, queries, keys = block(hidden, layer, cosines, sines, mask)
        if index in LAYERS:
            attentions[index] = queries, keys
        if index in EARLY:
            between[index] = hidden
    return Reading(model.norm(hidden), attentions, between)


def missed(attentions: Attentions, pointing: Pointing, rows: Tensor) -> Tensor:
    """How far the heads that are told where to look are from looking there: a sum over the tokens, by their shares.

    Of a token, minus the logarithm of how much of its attention goes where it should; where something is counted, the
    cross-entropy between what each object should get and what it gets.

    Args:
        attentions: of `read` for these rows of the batch.
    """
    total = torch.zeros(())
    for way, (last, layers) in HEADS.items():
        which, places = pointing.among(rows, way)
        there = [index for index in layers if index in attentions]
        for index in there if len(which) else ():
            queries, keys = (part[:, -1 if last else 0] for part in attentions[index])
            scores = (queries @ keys.transpose(1, 2))[places, pointing.at[which]].float() * queries.shape[-1] ** -0.5
            total = total - (pointing.shares[which] * _right(scores, pointing, which)).sum() / len(there)
    return total


def _right(scores: Tensor, pointing: Pointing, which: Tensor) -> Tensor:
    """Logarithm of how much of the attention of some tokens goes where it should, (n,), from scores (n, L)."""
    tokens, weights = pointing.tokens[which], pointing.weights[which]
    later = torch.arange(scores.shape[1]) > pointing.at[which][:, None]
    shares = scores.masked_fill(later, -torch.inf).log_softmax(-1).gather(1, tokens)
    unwanted = weights == 0
    found = shares.masked_fill(unwanted, -torch.inf).logsumexp(-1)
    return torch.where(pointing.counted[which], (weights * shares.masked_fill(unwanted, 0)).sum(-1), found)
