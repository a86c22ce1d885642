"""A lesson for the language model: where to look in the picture before it answers.

Without it, "What colour is the star?" among several shapes stays for long at a guess between their colours: nothing
tells the model that there is something to be found. Here one attention head in the middle is told, for the last token
before an answer, which image tokens show what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer, Qwen2Model, apply_rotary_pos_emb

from finetune.tiny.blocks import LOW, Block, language_block
from finetune.tiny.canvas import Box
from finetune.tiny.shape import QUERIES

# Layers whose first head is told where to look: the question has been read by then, and there is one more to tell it.
LAYERS = (2, 3)
SIDE = int(QUERIES**0.5)
# A query belongs to an object if its place is inside, or this far outside, as a share of the distance of two queries.
NEAR = 0.25


class Pointing:
    """What the questions of a batch ask for.

    Args:
        rows: of each question, in the batch. at: the last token before its answer. starts: first token of its picture.
        boxes: where in the picture lies what it asks for.
    """

    def __init__(
        self, rows: Sequence[int], at: Sequence[int], starts: Sequence[int], boxes: Sequence[Sequence[Box]]
    ) -> None:
        self.rows, self.at, self.starts = torch.tensor(rows), torch.tensor(at), torch.tensor(starts)
        self.wanted = torch.stack([covered(each) for each in boxes]) if boxes else torch.zeros(0, QUERIES)

    def among(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the questions in these rows: their place in `rows`, `at`, and the tokens wanted (n, queries)."""
        found = (self.rows[:, None] == rows).nonzero()
        questions, places = found[:, 0], found[:, 1]
        wanted = self.starts[questions, None] + torch.arange(QUERIES)
        return places, self.at[questions], wanted, self.wanted[questions]


def covered(boxes: Sequence[Box]) -> Tensor:
    """Which queries see something in these boxes, float32 (queries,) of zeros and ones; of each box one at least."""
    middles = (torch.arange(SIDE) + 0.5) / SIDE
    seen = torch.zeros(SIDE, SIDE)
    for left, top, right, bottom in boxes:
        across, down = ((middles > low - NEAR / SIDE) & (middles < high + NEAR / SIDE) for low, high in
                        ((left, right), (top, bottom)))  # fmt: skip
        seen[down[:, None] & across] = 1
        seen[min(SIDE - 1, int((top + bottom) / 2 * SIDE)), min(SIDE - 1, int((left + right) / 2 * SIDE))] = 1
    return seen.flatten()


def read(model: Qwen2Model, embeds: Tensor, block: Block = language_block) -> tuple[Tensor, dict[int, Tensor]]:
    """Last hidden state (B, L, width), and what goes into each of `LAYERS`.

    Padding stands on the right, where no earlier token sees it.

    Args:
        block: `language_block`, or what the compiler made of it.
    """
    length = embeds.shape[1]
    cosines, sines = (code[0].to(LOW) for code in model.rotary_emb(embeds, torch.arange(length)[None]))
    mask = torch.full((length, length), -torch.inf).triu(1)
    hidden, inputs = embeds.float(), {}
    for index, layer in enumerate(model.layers):
        if index in LAYERS:
            inputs[index] = hidden
        hidden = block(hidden, layer, cosines, sines, mask)
    return model.norm(hidden), inputs


def missed(model: Qwen2Model, inputs: dict[int, Tensor], pointing: Pointing, rows: Tensor) -> Tensor:
    """Sum over questions of minus the logarithm of how much of its attention a layer's first head gives what is asked.

    Args:
        inputs: of `read` for these rows of the batch, (n, L, width) each.
    """
    places, at, tokens, wanted = pointing.among(rows)
    total = torch.zeros(())
    for index, hidden in inputs.items():
        layer = model.layers[index]
        assert isinstance(layer, Qwen2DecoderLayer)
        query, key = _first_head(layer, hidden, model.rotary_emb)
        scores = torch.einsum("nd,nld->nl", query[places, at], key[places]).float() * query.shape[-1] ** -0.5
        later = torch.arange(hidden.shape[1]) > at[:, None]
        shares = scores.masked_fill(later, -torch.inf).log_softmax(-1).gather(1, tokens)
        total = total - shares.masked_fill(wanted == 0, -torch.inf).logsumexp(-1).sum() / len(LAYERS)
    return total


def _first_head(layer: Qwen2DecoderLayer, hidden: Tensor, rotary: nn.Module) -> tuple[Tensor, Tensor]:
    """Queries and keys (B, L, head_dim) of the first head."""
    attention, size = layer.self_attn, layer.self_attn.head_dim
    normed = layer.input_layernorm(hidden)
    query, key = (
        nn.functional.linear(normed, part.weight[:size], part.bias[:size])[:, None]
        for part in (attention.q_proj, attention.k_proj)
    )
    cosines, sines = rotary(hidden, torch.arange(hidden.shape[1])[None])
    query, key = apply_rotary_pos_emb(query, key, cosines, sines)
    return query[:, 0], key[:, 0]
