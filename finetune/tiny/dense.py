"""Linear heads, thrown away after training, that teach what covers each patch: to the tower, then to the resampler."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from finetune.tiny.canvas import CHARACTERS, COUNTED, IGNORED, LETTERS, STEPS
from finetune.tiny.palette import COLOURS, SHAPES
from finetune.tiny.wording import thing_names

# What a head tells, in the order of `Labels`, and what a patch without it counts: most have no letter, and many have
# nothing at all.
LABELS = {"colour": 0.3, "what": 0.3, "left": 0.1, "right": 0.1, "centre": 0.3, "x0": 0.1, "y0": 0.1, "x1": 0.1,
          "y1": 0.1, "left_nth": 0.1, "right_nth": 0.1, "of_name": 0.1, "of_colour": 0.1, "of_all": 0.1}  # fmt: skip
# What some count against what is there. The edges are many, and taught for boxes only; the middles are few, and how
# many things there are is the sum of what looks like one: a few that are taken for none make most counts wrong.
SHARES = {"centre": 3.0, "x0": 0.25, "y0": 0.25, "x1": 0.25, "y1": 0.25, "of_name": 3.0}


class Heads(nn.Module):
    """What covers a patch, from its feature: what it is, where that lies, its letters, and how many there are of it."""

    def __init__(self, width: int, things: int) -> None:
        super().__init__()
        self.colour = nn.Linear(width, 1 + len(COLOURS))
        self.what = nn.Linear(width, 1 + len(SHAPES) + things)
        self.left = nn.Linear(width, 1 + len(CHARACTERS))
        self.right = nn.Linear(width, 1 + len(CHARACTERS))
        self.centre = nn.Linear(width, 3)
        self.x0, self.y0, self.x1, self.y1 = (nn.Linear(width, 1 + STEPS) for _ in range(4))
        self.left_nth, self.right_nth = nn.Linear(width, 1 + LETTERS), nn.Linear(width, 1 + LETTERS)
        self.of_name, self.of_colour, self.of_all = (nn.Linear(width, 1 + COUNTED) for _ in range(3))

    def forward(self, features: Tensor) -> list[Tensor]:
        """What each head says of (B, N, width), in the order of `LABELS`: one product for all of them."""
        heads = [getattr(self, name) for name in LABELS]
        weight, bias = (torch.cat([getattr(head, part) for head in heads]) for part in ("weight", "bias"))
        return list(F.linear(features, weight, bias).split([head.out_features for head in heads], -1))

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of (B, N, width) against int64 (B, labels, N); the empty patches count less."""
        total = features.new_zeros((), dtype=torch.float32)
        for index, ((name, empty), logits) in enumerate(zip(LABELS.items(), self(features), strict=True)):
            logits = logits.flatten(0, 1).float()
            weight = torch.ones(logits.shape[-1])
            weight[0] = empty
            total = total + SHARES.get(name, 1.0) * F.cross_entropy(
                logits, labels[:, index].flatten(), weight, ignore_index=IGNORED
            )
        return total

    def hits(self, features: Tensor, labels: Tensor) -> dict[str, float]:
        """Share of right labels on patches that are covered, by head; none of those that cover nothing here."""
        shares = {}
        for index, (name, logits) in enumerate(zip(LABELS, self(features), strict=True)):
            covered = labels[:, index] > 0
            right = (logits.argmax(-1) == labels[:, index])[covered]
            if len(right):
                shares[name] = right.float().mean().item()
        return shares


class Readers(nn.Module):
    """What covers the four quarters of the part of a picture that each of the resampler's queries stands for.

    Without this lesson a query's output names the colour of its patch in less than half of the cases and the shape in
    about half, although the tower knows both.
    """

    def __init__(self, width: int, things: int) -> None:
        super().__init__()
        self.quarters = nn.ModuleList(Heads(width, things) for _ in range(4))

    def loss(self, outputs: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
        """Mean cross-entropy of (B, queries, width) against int64 (B, labels, rows * cols)."""
        parts = [heads.loss(outputs, own) for heads, own in self._each(outputs, labels, size)]
        return torch.stack(parts).mean()

    def hits(self, outputs: Tensor, labels: Tensor, size: tuple[int, int]) -> dict[str, float]:
        """Share of right labels on patches that are covered, by head: of the first quarter."""
        heads, own = next(self._each(outputs, labels, size))
        return heads.hits(outputs, own)

    def _each(self, outputs: Tensor, labels: Tensor, size: tuple[int, int]) -> Iterator[tuple[Heads, Tensor]]:
        for heads, own in zip(self.quarters, quarters(labels, size, math.isqrt(outputs.shape[1])), strict=True):
            assert isinstance(heads, Heads)
            yield heads, own


class Words:
    """Draws the resampler's outputs towards the word embeddings of what they show, of its colour and of its name, in
    both languages.

    Else the language model has to learn for each word apart by which direction of an image feature it is found; an
    output that resembles the word is found by the word itself.

    Args:
        tokenizer: of the run. things: names in label order.
    """

    def __init__(self, tokenizer: Tokenizer, things: Sequence[str]) -> None:
        chinese = thing_names()
        # As they stand in a sentence: in English behind a blank.
        colours = [f" {colour.name}" for colour in COLOURS], [colour.chinese for colour in COLOURS]
        names = (
            [f" {name}" for name in (*(shape.name for shape in SHAPES), *things)],
            [*(shape.chinese for shape in SHAPES), *(chinese[thing].chinese for thing in things)],
        )
        # Number of the label, and the tokens of each word that it may stand for.
        self._ids = [
            (index, [tokenizer.encode(word).ids for word in words])
            for index, told in enumerate((colours, names))
            for words in told
        ]

    def loss(self, outputs: Tensor, labels: Tensor, size: tuple[int, int], embeddings: Tensor) -> Tensor:
        """Mean cross-entropy of (B, queries, width) against int64 (B, labels, rows * cols), on covered patches.

        Args:
            embeddings: of all tokens, (vocab_size, width); they are not taught by this.
        """
        total = outputs.new_zeros((), dtype=torch.float32)
        table = embeddings.detach().float()
        parts = quarters(labels, size, math.isqrt(outputs.shape[1]))
        for index, ids in self._ids:
            words = torch.stack([table[word].mean(0) for word in ids])
            words = F.normalize(words - words.mean(0), dim=-1)
            logits = (outputs.float() @ words.T).flatten(0, 1)
            for part in parts:
                wanted = part[:, index].flatten()
                seen = wanted > 0
                if seen.any():
                    total = total + F.cross_entropy(logits[seen], wanted[seen] - 1) / len(parts)
        return total


def quarters(labels: Tensor, size: tuple[int, int], side: int) -> list[Tensor]:
    """The labels of the patches in the middle of each quarter of each cell of a grid of `side` by `side` cells.

    Args:
        labels: (B, labels, rows * cols). size: (rows, cols) of patches.

    Returns:
        Four of (B, labels, side * side): top left, top right, bottom left, bottom right.
    """
    grid = labels.unflatten(2, size)
    rows, cols = (
        [((2 * torch.arange(side) + half + 0.5) * count / (2 * side)).long() for half in (0, 1)] for count in size
    )
    return [grid[:, :, row][:, :, :, col].flatten(2) for row in rows for col in cols]
