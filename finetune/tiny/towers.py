"""First stage: the vision tower learns what covers each patch, then the resampler to pass it on.

python -m finetune.tiny.towers --cache DIR --out DIR --pictures 200000      goes on from OUT if it holds a run
python -m finetune.tiny.towers ... --published assets/tiny-minicpm-v --alone 0.2    goes on from the published tower
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from app.modeling.positions import grid_position_ids
from finetune.tiny import record
from finetune.tiny.canvas import PATCH
from finetune.tiny.clock import Clock
from finetune.tiny.dense import Heads, Readers
from finetune.tiny.embedded import new_resampler
from finetune.tiny.optimizers import Optimizers, schedule
from finetune.tiny.packed import GRIDS, Supplies, packed
from finetune.tiny.parallel import Team, join
from finetune.tiny.precision import lowered
from finetune.tiny.shape import new_tower, place_gain, start_resampler
from finetune.tiny.supplies import gather

# Pictures per process and step.
BATCH = 32
# Pictures until the rate is full.
WARMUP = 3000


class PackedPictures:
    """Batches of `size` packed pictures; batch number n is always the same for a seed."""

    def __init__(self, supplies: Supplies, seed: int, size: int) -> None:
        self.supplies, self.seed, self.size = supplies, seed, size

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W, 3) and int64 (B, labels, rows * cols), all pictures of one size."""
        rng = Random(f"{self.seed} {number}")
        grid = rng.choice(GRIDS)
        pairs = [packed(grid, rng, self.supplies) for _ in range(self.size)]
        pixels = np.stack([pixels for pixels, _ in pairs])
        tables = [labels.table() for _, labels in pairs]
        return torch.from_numpy(pixels), torch.from_numpy(np.stack(tables)).flatten(2)


def size_of(pixels: Tensor) -> tuple[int, int]:
    """(rows, cols) of the patches of pictures (B, H, W, 3)."""
    return pixels.shape[1] // PATCH, pixels.shape[2] // PATCH


def to_slices(pixels: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """uint8 (B, H, W, 3) to what the tower takes, (B, 3, P, N*P) normalised, and (rows, cols)."""
    rows, cols = size_of(pixels)
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


def save(path: Path, **state: Any) -> None:
    """Write a checkpoint so that a stop in the middle leaves the last one whole."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


class Stage:
    """The tower and the resampler with their heads, and how far they are.

    Args:
        things: how many things there are labels for.
        path: of the checkpoint; if it is there, the run goes on from it.
        start: folder of a checkpoint of this model whose tower is taken instead of an untrained one; None for that.

    Attributes:
        sittings: that led to where it begins, as far as they were recorded.
    """

    def __init__(self, things: int, path: Path, start: Path | None = None) -> None:
        self.path, self.done, self.seconds, self.reads = path, 0, 0.0, False
        self.sittings: list[record.Sitting] = []
        self.tower, self.resampler = new_tower(), new_resampler()
        self.heads = Heads(self.tower.config.hidden_size, things)
        self.readers = Readers(self.resampler.embed_dim, things)
        parts = {"vpm": self.tower, "resampler": self.resampler, "heads": self.heads, "readers": self.readers}
        self.parts = nn.ModuleDict(parts)
        self.optimizers = Optimizers((name.removeprefix("vpm."), p) for name, p in self.parts.named_parameters())
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.parts.load_state_dict(state["model"])
            self.optimizers.load_state_dict(state["optimizers"])
            self.done, self.seconds, self.reads = state["done"], state["seconds"], state["reads"]
            self.sittings = [record.Sitting.read(one) for one in state.get("sittings", ())]
        elif start:
            weights = load_file(start / "model.safetensors")
            named = {name.removeprefix("vpm."): w for name, w in weights.items() if name.startswith("vpm.")}
            self.tower.load_state_dict(named)

    @torch.no_grad()
    def start_reading(self, pixels: Tensor) -> None:
        """From now on the resampler learns too; it starts by the size of the tower's features of these pictures."""
        start_resampler(self.resampler, place_gain(features_of(self.tower, pixels)))
        self.reads = True

    def loss(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Of one batch of `PackedPictures`."""
        with plain_attention(), lowered():
            features = features_of(self.tower, pixels)
            total = self.heads.loss(features, labels)
            if self.reads:
                size = size_of(pixels)
                total = total + self.readers.loss(self.resampler(features, size), labels, size)
            return total

    @torch.no_grad()
    def measure(self, batches: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        """Share of right labels on patches that are covered: of the tower, and of the resampler as `read_...`."""
        shares: dict[str, list[float]] = {}
        for pixels, labels in batches:
            features, size = features_of(self.tower, pixels), size_of(pixels)
            hits = self.heads.hits(features, labels)
            if self.reads:
                read = self.readers.hits(self.resampler(features, size), labels, size)
                hits |= {f"read_{name}": share for name, share in read.items()}
            for name, share in hits.items():
                shares.setdefault(name, []).append(share)
        return {name: round(fmean(values), 3) for name, values in shares.items()}

    def save(self, sittings: Sequence[record.Sitting] = ()) -> None:
        """Write the checkpoint, with the sittings that led to it."""
        counts = {"done": self.done, "seconds": self.seconds, "reads": self.reads}
        weights = {"model": self.parts.state_dict(), "optimizers": self.optimizers.state_dict()}
        save(self.path, **weights, **counts, sittings=[sitting.data() for sitting in sittings])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--cache", type=Path, required=True, help="folder of icons and fonts, fetched if missing")
    made.add_argument("--out", type=Path, required=True, help="folder of the run")
    made.add_argument("--published", type=Path, help="a checkpoint whose tower to go on from, where OUT holds no run")
    made.add_argument("--pictures", type=int, default=200_000, help="pictures in all (200000)")
    made.add_argument("--until", type=int, help="pictures to stop at before that")
    made.add_argument("--alone", type=float, default=0.6, help="share of the run until the resampler joins (0.6)")
    made.add_argument("--cooling", type=float, default=0.3, help="share of the run in which the rate falls (0.3)")
    made.add_argument("--seed", type=int, default=1, help="of weights and pictures (1)")
    made.add_argument("--threads", type=int, default=2, help="if it is the only process (2)")
    made.add_argument("--compile", action="store_true", help="a sixth faster after a minute; needs a C++ compiler")
    return made


def train(arguments: argparse.Namespace, team: Team) -> None:
    """Learn from as many pictures as are wanted; the first process reports and saves now and then."""
    supplies = gather(arguments.cache)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "tower.pt"
    published = arguments.published is not None and not path.exists()
    stage = Stage(len(supplies.words), path, arguments.published)
    began, spent = stage.done, stage.seconds
    goal = min(arguments.pictures, arguments.until or arguments.pictures)
    team.agree(stage.optimizers.parameters)
    if arguments.compile:
        for layer in stage.tower.encoder.layers:
            layer.compile(dynamic=True)
    data = PackedPictures(supplies, arguments.seed, BATCH)
    check = [PackedPictures(supplies, arguments.seed + 1000, BATCH).batch(number) for number in range(3)]
    clock, losses = Clock(stage.seconds), []
    while stage.done < goal:
        if not stage.reads and stage.done >= arguments.alone * arguments.pictures:
            stage.start_reading(check[0][0])
            team.agree(list(stage.resampler.parameters()))
        loss = stage.loss(*data.batch(stage.done // BATCH + team.rank))
        loss.backward()
        team.average(stage.optimizers.parameters)
        stage.optimizers.step(schedule(stage.done, WARMUP, arguments.pictures, arguments.cooling))
        stage.done += BATCH * team.size
        losses.append(loss.item())
        if team.first and (clock.due or stage.done >= goal):
            stage.seconds = clock.report()
            report = {"pictures": stage.done, "seconds": round(stage.seconds), "loss": round(fmean(losses), 3)}
            print(json.dumps(report | stage.measure(check)), flush=True)
            seconds, flags = stage.seconds - spent, record.flags_of(arguments)
            now = record.Sitting("towers", began, stage.done, seconds, team.size, flags, published)
            stage.save(record.extended(stage.sittings, now))
            losses = []


def main() -> None:
    """Train, going on from the last checkpoint."""
    arguments = parser().parse_args()
    team = join(arguments.threads)
    torch.manual_seed(arguments.seed)
    train(arguments, team)


if __name__ == "__main__":
    main()
