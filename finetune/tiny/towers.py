"""First stage: the vision tower learns what covers each patch, by linear heads that are thrown away.

python -m finetune.tiny.towers --cache DIR --out DIR --pictures 200000      goes on from OUT if it holds a run
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from app.modeling.positions import grid_position_ids
from finetune.tiny.canvas import CHARACTERS, IGNORED, PATCH
from finetune.tiny.clock import Clock
from finetune.tiny.optimizers import Optimizers, schedule
from finetune.tiny.packed import GRIDS, Supplies, packed
from finetune.tiny.palette import COLOURS, SHAPES
from finetune.tiny.parallel import Team, join
from finetune.tiny.shape import new_tower
from finetune.tiny.supplies import gather

# Pictures per process and step.
BATCH = 32
# Pictures until the rate is full.
WARMUP = 3000


class Heads(nn.Module):
    """What covers a patch, from its feature: colour, shape or thing, and the letters in its two halves."""

    def __init__(self, width: int, things: int) -> None:
        super().__init__()
        self.colour = nn.Linear(width, 1 + len(COLOURS))
        self.what = nn.Linear(width, 1 + len(SHAPES) + things)
        self.left = nn.Linear(width, 1 + len(CHARACTERS))
        self.right = nn.Linear(width, 1 + len(CHARACTERS))

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of (B, N, width) against int64 (B, 4, N); the empty patches count less."""
        total = features.new_zeros((), dtype=torch.float32)
        for index, (head, empty) in enumerate(
            ((self.colour, 0.3), (self.what, 0.3), (self.left, 0.1), (self.right, 0.1))
        ):
            # Most patches have no letter, and many have nothing at all.
            weight = torch.ones(head.out_features)
            weight[0] = empty
            logits = head(features).flatten(0, 1).float()
            total = total + F.cross_entropy(logits, labels[:, index].flatten(), weight, ignore_index=IGNORED)
        return total


class PackedPictures:
    """Batches of `size` packed pictures; batch number n is always the same for a seed."""

    def __init__(self, supplies: Supplies, seed: int, size: int) -> None:
        self.supplies, self.seed, self.size = supplies, seed, size

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W, 3) and int64 (B, 4, rows * cols), all pictures of one size."""
        rng = Random(f"{self.seed} {number}")
        grid = rng.choice(GRIDS)
        pairs = [packed(grid, rng, self.supplies) for _ in range(self.size)]
        pixels = np.stack([pixels for pixels, _ in pairs])
        tables = [np.stack([one.colour, one.what, one.left, one.right]) for _, one in pairs]
        return torch.from_numpy(pixels), torch.from_numpy(np.stack(tables)).flatten(2)


def to_slices(pixels: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """uint8 (B, H, W, 3) to what the tower takes, (B, 3, P, N*P) normalised, and (rows, cols)."""
    rows, cols = pixels.shape[1] // PATCH, pixels.shape[2] // PATCH
    patches = pixels.unflatten(2, (cols, PATCH)).unflatten(1, (rows, PATCH))  # B rows P cols P 3
    side_by_side = patches.permute(0, 5, 2, 1, 3, 4).flatten(3)
    return side_by_side.float() / 127.5 - 1, (rows, cols)


def features_of(tower: Any, pixels: Tensor) -> Tensor:
    """(B, N, width) of uint8 pictures of one size."""
    slices, size = to_slices(pixels)
    return tower(slices, grid_position_ids(*size, tower.config.table_side)[None])


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention by matrix products: on a CPU, over a few hundred patches, faster than the fused kernel."""
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    with sdpa_kernel(SDPBackend.MATH):
        yield


@torch.no_grad()
def measure(tower: Any, heads: Heads, batches: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Share of right labels on patches that are covered."""
    right: dict[str, list[float]] = {}
    for pixels, labels in batches:
        features = features_of(tower, pixels)
        for index, name in enumerate(("colour", "what", "left", "right")):
            chosen = getattr(heads, name)(features).argmax(-1)
            covered = labels[:, index] > 0
            hits = (chosen == labels[:, index])[covered]
            if len(hits):
                right.setdefault(name, []).append(hits.float().mean().item())
    return {name: round(sum(values) / len(values), 3) for name, values in right.items()}


def save(path: Path, **state: Any) -> None:
    """Write a checkpoint so that a stop in the middle leaves the last one whole."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


class Stage:
    """The tower and its heads, and how far they are.

    Args:
        things: how many things there are labels for.
        path: of the checkpoint; if it is there, the run goes on from it.
    """

    def __init__(self, things: int, path: Path) -> None:
        self.path, self.done, self.seconds = path, 0, 0.0
        self.tower = new_tower()
        self.heads = Heads(self.tower.config.hidden_size, things)
        self.both = nn.ModuleDict({"vpm": self.tower, "heads": self.heads})
        self.optimizers = Optimizers((name.removeprefix("vpm."), p) for name, p in self.both.named_parameters())
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.both.load_state_dict(state["model"])
            self.optimizers.load_state_dict(state["optimizers"])
            self.done, self.seconds = state["done"], state["seconds"]

    def loss(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Of one batch of `PackedPictures`."""
        with plain_attention(), torch.autocast("cpu", torch.bfloat16):
            return self.heads.loss(features_of(self.tower, pixels), labels)

    def save(self) -> None:
        """Write the checkpoint."""
        counts = {"done": self.done, "seconds": self.seconds}
        save(self.path, model=self.both.state_dict(), optimizers=self.optimizers.state_dict(), **counts)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--cache", type=Path, required=True, help="folder with icons and fonts")
    made.add_argument("--out", type=Path, required=True, help="folder of the run")
    made.add_argument("--pictures", type=int, default=200_000, help="pictures in all (200000)")
    made.add_argument("--cooling", type=float, default=0.3, help="share of the run in which the rate falls (0.3)")
    made.add_argument("--seed", type=int, default=1, help="of weights and pictures (1)")
    made.add_argument("--threads", type=int, default=2, help="if it is the only process (2)")
    return made


def train(arguments: argparse.Namespace, team: Team) -> None:
    """Learn from as many pictures as are wanted; the first process reports and saves now and then."""
    supplies = gather(arguments.cache)
    arguments.out.mkdir(parents=True, exist_ok=True)
    stage = Stage(len(supplies.words), arguments.out / "tower.pt")
    team.agree(stage.optimizers.parameters)
    data = PackedPictures(supplies, arguments.seed, BATCH)
    check = [PackedPictures(supplies, arguments.seed + 1000, BATCH).batch(number) for number in range(3)]
    clock, losses = Clock(stage.seconds), []
    while stage.done < arguments.pictures:
        loss = stage.loss(*data.batch(stage.done // BATCH + team.rank))
        loss.backward()
        team.average(stage.optimizers.parameters)
        stage.optimizers.step(schedule(stage.done, WARMUP, arguments.pictures, arguments.cooling))
        stage.done += BATCH * team.size
        losses.append(loss.item())
        if team.first and (clock.due or stage.done >= arguments.pictures):
            stage.seconds = clock.report()
            report = {"pictures": stage.done, "seconds": round(stage.seconds), "loss": round(fmean(losses), 3)}
            print(json.dumps(report | measure(stage.tower, stage.heads, check)), flush=True)
            stage.save()
            losses = []


def main() -> None:
    """Train, going on from the last checkpoint."""
    arguments = parser().parse_args()
    team = join(arguments.threads)
    torch.manual_seed(arguments.seed)
    train(arguments, team)


if __name__ == "__main__":
    main()
