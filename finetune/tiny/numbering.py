"""A lesson for the language model: how many letters of a line it has read out so far.

The tower tells which letter of its line each patch shows; a word is then read by asking for the second letter, the
third and so on, whatever they are, so that none is skipped or read twice. For that it has to be known before anything
is looked up how many were said. Untold, the model knew it in one of three cases before its second layer, and in one of
two where the fifth letter is looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetune.tiny.canvas import LETTERS
from finetune.tiny.pointing import EARLY


class Numbered:
    """Tokens of a batch that read out a line, each with how many of its letters are said with it.

    Args:
        said: (row, token, number); at least one.
    """

    def __init__(self, said: Sequence[tuple[int, int, int]]) -> None:
        self.rows, self.at, self.numbers = torch.tensor(said).T


class Numbers(nn.Module):
    """Linear heads, thrown away after training, that tell these numbers behind each of the layers `EARLY`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.behind = nn.ModuleList(nn.Linear(width, 1 + LETTERS) for _ in EARLY)

    def loss(self, between: Mapping[int, Tensor], numbered: Numbered, rows: Tensor) -> Tensor:
        """Cross-entropy of the tokens in some rows of the batch, as their part in the mean over all its tokens.

        Args:
            between: by layer of `EARLY`, what it gives for these rows, (B, L, width).
        """
        which, places = (numbered.rows[:, None] == rows).nonzero().T
        total = torch.zeros(())
        heads = [(layer, head) for layer, head in zip(EARLY, self.behind, strict=True) if layer in between]
        for layer, head in heads:
            hidden = between[layer][places, numbered.at[which]].float()
            logits = head(F.rms_norm(hidden, hidden.shape[-1:])).float()
            total = total + F.cross_entropy(logits, numbered.numbers[which], reduction="sum")
        return total / len(numbered.rows) / len(heads)
