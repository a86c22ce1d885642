"""Second stage: the whole model learns to answer, starting from the tower of the first.

python -m finetune.tiny.learn --cache DIR --out DIR --pictures 300000      goes on from OUT if it holds a run
python -m finetune.tiny.learn ... --published assets/tiny-minicpm-v        goes on from what was published; where OUT
                                                    holds a first stage, with its tower and resampler instead
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from app.families.minicpm_v_2_6 import MiniCPMV26
from app.modeling.positions import grid_position_ids
from finetune.tiny import record, tokens
from finetune.tiny.blocks import Block, language_block
from finetune.tiny.clock import Clock
from finetune.tiny.curriculum import SLICES, Curriculum
from finetune.tiny.dense import Heads, Readers, Words
from finetune.tiny.embedded import new_model, write
from finetune.tiny.growing import grown
from finetune.tiny.numbering import Numbered, Numbers
from finetune.tiny.optimizers import Optimizers, schedule
from finetune.tiny.parallel import Team, join
from finetune.tiny.pointing import Pointing, missed, read
from finetune.tiny.precision import lowered
from finetune.tiny.samples import Sample, TokenWriter
from finetune.tiny.shape import QUERIES
from finetune.tiny.supplies import gather
from finetune.tiny.towers import PackedPictures, features_of, plain_attention, save, size_of, to_slices
from finetune.tiny.vocabulary import names, tokenizer_for

TOWER_SHARE = 0.25
# Its dense lessons keep its queries at their places.
RESAMPLER_SHARE = 0.5
DENSE_SHARE = 0.2
WORD_SHARE = 0.1
POINTING_SHARE = 0.3
NUMBER_SHARE = 0.3
# Pictures until the rate is full.
WARMUP = 6000
# What the answers of a batch count from which on it counts in full.
FULL = 120.0
# Parts of a batch that the language model reads one after another.
PARTS = 3


class Batch:
    """Samples as tensors.

    Attributes:
        ids, labels: int64 (B, L), padded on the right. weights: float32 (B, L), what a label counts.
        groups: slices of equal size, uint8 (n, H, W, 3), with their places, int64 (n * queries,), in the flat batch.
        dense: int64 (n, labels, N), what covers the patches of the only group; None if not known of all its slices.
        pointing: where its tokens should look; None if none is told.
        numbered: its tokens that read out lines; None if there are none.
    """

    def __init__(self, samples: list[Sample], pad: int) -> None:
        length = max(len(sample.ids) for sample in samples)
        self.ids = torch.full((len(samples), length), pad)
        self.labels = torch.full((len(samples), length), -100)
        self.weights = torch.zeros(len(samples), length)
        pieces = defaultdict(list)
        places = defaultdict(list)
        for row, sample in enumerate(samples):
            self.ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
            self.labels[row, : len(sample.ids)] = torch.tensor(sample.labels)
            self.weights[row, : len(sample.ids)] = torch.tensor(answer_weights(sample.labels))
            for piece, (start, stop) in zip(sample.pieces, sample.places, strict=True):
                pieces[piece.shape].append(torch.from_numpy(piece.copy()))
                places[piece.shape].append(torch.arange(start, stop) + row * length)
        self.groups = [(torch.stack(pieces[shape]), torch.cat(places[shape])) for shape in pieces]
        asked = [(row, one) for row, sample in enumerate(samples) for one in sample.pointed]
        self.pointing = Pointing(asked) if asked else None
        said = [(row, at, number) for row, sample in enumerate(samples) for at, number in sample.numbered]
        self.numbered = Numbered(said) if said else None
        known = [sample for sample in samples if sample.pieces]
        whole = known and all(sample.dense is not None for sample in known) and len(self.groups) == 1
        self.dense = torch.stack([torch.from_numpy(s.dense) for s in known if s.dense is not None]) if whole else None


@dataclass(slots=True)
class Seen:
    """What was made of slices of one size: features (B, N, tower's width) and outputs (B, queries, width)."""

    features: Tensor
    outputs: Tensor
    size: tuple[int, int]


@dataclass(slots=True)
class Losses:
    """Parts of what is minimised, each a scalar.

    Attributes:
        answers: mean cross-entropy of the answers. missed: how far the questions miss what they ask for.
        numbers: cross-entropy of how many letters are said.
    """

    answers: Tensor
    missed: Tensor
    numbers: Tensor


def encode(model: MiniCPMV26, batch: Batch, learn: bool) -> tuple[Tensor, Seen | None]:
    """Embeddings (B, L, width) with the slices' features in their places, and what was seen in the only group.

    Args:
        learn: whether the tower gets gradients.
    """
    embeds = model.llm.model.embed_tokens(batch.ids)
    flat, seen = embeds.flatten(0, 1), None
    for pixels, places in batch.groups:
        slices, size = to_slices(pixels)
        positions = grid_position_ids(*size, model.config.vision_config.table_side)[None]
        with torch.set_grad_enabled(learn), plain_attention():
            features = model.vpm(slices, positions)
        seen = Seen(features, model.resampler(features, size), size)
        flat = flat.index_copy(0, places, seen.outputs.flatten(0, 1).to(flat.dtype))
    return flat.view_as(embeds), seen if len(batch.groups) == 1 else None


def answer_weights(labels: Sequence[int]) -> list[float]:
    """What each token counts: an answer counts as the square root of its tokens.

    A box has ten times the tokens of a colour; by tokens, the short answers would hardly be learned, and by answers,
    a page would hardly be.
    """
    weights: list[float] = []
    for learned, run in groupby(labels, lambda label: label != -100):
        length = len(list(run))
        weights += [length**-0.5 if learned else 0.0] * length
    return weights


def answer_loss(
    model: MiniCPMV26, embeds: Tensor, batch: Batch, block: Block = language_block, numbers: Numbers | None = None
) -> Losses:
    """What reading (B, L, width) gives."""
    labels, weights = batch.labels, batch.weights
    missing, counting = (embeds.new_zeros((), dtype=torch.float32) for _ in range(2))
    if numbers:
        # All processes need its gradients, also those whose batch reads out nothing.
        counting = counting + 0 * sum(parameter.sum() for parameter in numbers.parameters())
    ends = (labels != -100).int().cumsum(1).argmax(1) + 1  # nothing is learned behind them
    total, answers = embeds.new_zeros((), dtype=torch.float32), float(weights.sum())
    # Rows of about one length together: a third of a batch would be padding else.
    for rows in ends.argsort().chunk(PARTS):
        length = int(ends[rows].max())
        seen = read(model.llm.model, embeds[rows, :length], block)
        if batch.pointing:
            missing = missing + missed(seen.attentions, batch.pointing, rows) / batch.pointing.total
        if batch.numbered and numbers:
            counting = counting + numbers.loss(seen.between, batch.numbered, rows)
        wanted, shares = labels[rows, 1:length], weights[rows, 1:length]
        asked = wanted != -100
        logits = model.llm.lm_head(seen.hidden[:, :-1][asked]).float()
        total = total + (F.cross_entropy(logits, wanted[asked], reduction="none") * shares[asked]).sum()
    # A batch with few answers says little; alone it should not move the model as far as one with many.
    return Losses(total / answers * min(1.0, (answers / FULL) ** 0.5), missing, counting)


class Stage:
    """The whole model, the heads of the first stage that keep teaching tower and resampler, and how far they are.

    Args:
        tokenizer: of the run.
        things: names of the things there are labels for.
        tower_share: how much slower the tower learns than the rest.
        out: folder of the run; it holds the first stage's checkpoint. If it holds this stage's, the run goes on.

    Attributes:
        sittings: of both stages that led to where it begins, as far as they were recorded.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        things: Sequence[str],
        out: Path,
        start: Path | None = None,
        tower_share: float = TOWER_SHARE,
    ) -> None:
        self.tokenizer, self.things, self.out, self.path = tokenizer, things, out, out / "model.pt"
        self.done, self.seconds, self.step, self.began = 0, 0.0, 0, 0
        self.model = new_model(tokenizer)
        self.heads = Heads(self.model.config.vision_config.hidden_size, len(things))
        self.readers = Readers(self.model.resampler.embed_dim, len(things))
        self.words = Words(tokenizer, things)
        self.block: Block = language_block
        self.numbers = Numbers(self.model.config.hidden_size)
        self.parts = nn.ModuleDict(
            {"model": self.model, "heads": self.heads, "readers": self.readers, "numbers": self.numbers}
        )
        named = [(name.removeprefix("model."), parameter) for name, parameter in self.parts.named_parameters()]
        self.optimizers = Optimizers(
            named, slow={"vpm.": tower_share, "heads.": tower_share, "resampler.": RESAMPLER_SHARE}
        )
        self.earlier: list[record.Stage] = []
        self.sittings: list[record.Sitting] = []
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.parts.load_state_dict(state["model"])
            self.optimizers.load_state_dict(state["optimizers"])
            self.done, self.seconds, self.step = state["done"], state["seconds"], state["step"]
            self.began, self.earlier = state["began"], [record.Stage(*stage) for stage in state["earlier"]]
            self.sittings = [record.Sitting.read(one) for one in state.get("sittings", ())]
        else:
            if start:
                self._go_on_from(start)
            if not start or (out / "tower.pt").exists():
                self._see_as(torch.load(out / "tower.pt", weights_only=True))

    def _go_on_from(self, start: Path) -> None:
        """Take the weights of a published checkpoint, and count on from its record."""
        *self.earlier, last = record.read(start / record.NAME)
        self.sittings += record.read_sittings(start / record.NAME)
        weights = load_file(start / "model.safetensors")
        old = Tokenizer.from_file(str(start / "tokenizer.json"))
        if old.get_vocab() != self.tokenizer.get_vocab():
            weights = grown(weights, old, self.tokenizer, names(self.things))
        if len(weights["resampler.query"]) != QUERIES:
            # Another number of queries reads the picture in other parts: the first stage has taught a new resampler.
            weights |= {f"resampler.{name}": value for name, value in self.model.resampler.state_dict().items()}
        self.model.load_state_dict(weights)
        self.done, self.seconds, self.began = last.pictures, last.seconds, last.pictures
        self.step = self.done // SLICES

    def _see_as(self, first: dict[str, Any]) -> None:
        """Take tower, resampler and heads of the first stage."""
        learned = {_name(name): value for name, value in first["model"].items()}
        self.parts.load_state_dict(learned, strict=False)
        self.earlier.append(record.Stage("tower", first["done"], first["seconds"]))
        self.sittings += [record.Sitting.read(one) for one in first.get("sittings", ())]

    def compile(self) -> None:
        """Compile the blocks of both transformers."""
        self.block = torch.compile(language_block, dynamic=True)
        for part in (self.model.llm.model.norm, *self.model.vpm.encoder.layers):
            part.compile(dynamic=True)

    def packed_loss(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Of one batch of `PackedPictures`."""
        with plain_attention(), lowered():
            features, size = features_of(self.model.vpm, pixels), size_of(pixels)
            outputs = self.model.resampler(features, size)
            return self.heads.loss(features, labels) + self.read_loss(outputs, labels, size)

    def read_loss(self, outputs: Tensor, labels: Tensor, size: tuple[int, int]) -> Tensor:
        """What the resampler's outputs (B, queries, width) tell of the patches, int64 (B, labels, rows * cols)."""
        named = self.words.loss(outputs, labels, size, self.model.llm.model.embed_tokens.weight)
        return self.readers.loss(outputs, labels, size) + WORD_SHARE / DENSE_SHARE * named

    def losses(self, batch: Batch) -> tuple[Tensor, Losses]:
        """What is minimised, and of that the parts of `answer_loss`."""
        # The tower learns in every second step only: its backward pass is the dearest.
        learn = self.step % 2 == 0 and batch.dense is not None
        with lowered():
            embeds, seen = encode(self.model, batch, learn)
            parts = answer_loss(self.model, embeds, batch, self.block, self.numbers)
            total = parts.answers + POINTING_SHARE * parts.missed + NUMBER_SHARE * parts.numbers
            if seen is None or batch.dense is None:
                return total, parts
            dense = self.read_loss(seen.outputs, batch.dense, seen.size)
            if learn:
                dense = dense + self.heads.loss(seen.features, batch.dense)
            return total + DENSE_SHARE * dense, parts

    def save(self, sittings: Sequence[record.Sitting]) -> None:
        """Write this stage's checkpoint, the embedded one, and the record of both stages."""
        counts = {"done": self.done, "seconds": self.seconds, "step": self.step, "began": self.began}
        earlier = [(stage.name, stage.pictures, stage.seconds) for stage in self.earlier]
        weights = {"model": self.parts.state_dict(), "optimizers": self.optimizers.state_dict()}
        save(self.path, **weights, **counts, earlier=earlier, sittings=[sitting.data() for sitting in sittings])
        folder = self.out / "checkpoint"
        write(self.model, self.tokenizer, folder)
        stages = [*self.earlier, record.Stage("answers", self.done, self.seconds)]
        record.write(folder / record.NAME, stages, sittings)


def _name(name: str) -> str:
    """Of a weight of the first stage in the second."""
    return f"model.{name}" if name.startswith(("vpm.", "resampler.")) else name


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--cache", type=Path, required=True, help="folder of icons and fonts, fetched if missing")
    made.add_argument("--out", type=Path, required=True, help="folder of the run, with what the first stage left")
    made.add_argument("--published", type=Path, help="a checkpoint of this model to go on from, where OUT holds no run")
    made.add_argument("--pictures", type=int, default=300_000, help="pictures in all (300000)")
    made.add_argument("--until", type=int, help="pictures to stop at before that")
    made.add_argument("--cooling", type=float, default=0.3, help="share of the run in which the rate falls (0.3)")
    made.add_argument("--easy", type=int, default=30_000, help="pictures until single objects come no more often")
    made.add_argument("--early", type=int, default=150_000, help="pictures until most are no longer single whole ones")
    made.add_argument("--few", type=int, default=0, help="pictures until two or three shapes come no more often (0)")
    made.add_argument("--packed", type=float, default=0.15, help="share of steps that teach tower and resampler (0.15)")
    made.add_argument("--tower", type=float, default=TOWER_SHARE, help="how much slower the tower learns (0.25)")
    made.add_argument("--seed", type=int, default=2, help="of weights and pictures (2)")
    made.add_argument("--threads", type=int, default=2, help="if it is the only process (2)")
    made.add_argument("--compile", action="store_true", help="a quarter faster after a minute; needs a C++ compiler")
    return made


def train(arguments: argparse.Namespace, team: Team) -> None:
    """Learn from as many pictures as are wanted; the first process reports and saves now and then."""
    supplies, seed = gather(arguments.cache), arguments.seed
    arguments.out.mkdir(parents=True, exist_ok=True)
    own = arguments.out / "tokenizer.json"
    published = arguments.published is not None and not (arguments.out / "model.pt").exists()
    if published:
        # Written, so that the run goes on without naming it.
        tokens.with_words(Tokenizer.from_file(str(arguments.published / own.name)), names(supplies.words)).save(
            str(own)
        )
    tokenizer = tokenizer_for(supplies, own)
    stage = Stage(tokenizer, supplies.words, arguments.out, arguments.published, arguments.tower)
    began, spent = stage.done, stage.seconds
    goal = min(arguments.pictures, arguments.until or arguments.pictures)
    team.agree(stage.optimizers.parameters)
    if arguments.compile:
        stage.compile()
    curriculum, pad = Curriculum(supplies, TokenWriter(tokenizer)), tokens.id_of(tokenizer, "<|endoftext|>")
    packed_pictures = PackedPictures(supplies, seed, SLICES)
    clock = Clock(stage.seconds)
    answers, denses, missings, countings = [], [], [], []
    while stage.done < goal:
        if Random(f"packed {seed} {stage.step}").random() < arguments.packed:
            total = stage.packed_loss(*packed_pictures.batch(stage.step * team.size + team.rank))
            denses.append(total.item())
        else:
            # All processes draw the same kind of batch, so that none waits for the others.
            kind, rng = Random(f"{seed} {stage.step}").random(), Random(f"{seed} {stage.step} {team.rank}")
            easy = max(0.0, 1 - stage.done / arguments.easy)
            early = float(stage.done < arguments.early)
            few = 0.8 * float(stage.done < arguments.few)
            batch = Batch(curriculum.batch(rng, kind, easy, early, few), pad)
            total, parts = stage.losses(batch)
            answers.append(parts.answers.item())
            if batch.numbered:
                countings.append(parts.numbers.item())
            if batch.pointing:
                missings.append(parts.missed.item())
        total.backward()
        team.average(stage.optimizers.parameters)
        stage.optimizers.step(schedule(stage.done, WARMUP, arguments.pictures, arguments.cooling, stage.began))
        stage.done += SLICES * team.size
        stage.step += 1
        if team.first and (clock.due or stage.done >= goal):
            stage.seconds = clock.report()
            print(
                json.dumps(_report(stage, loss=answers, dense=denses, missed=missings, numbers=countings)), flush=True
            )
            seconds, flags = stage.seconds - spent, record.flags_of(arguments)
            now = record.Sitting("learn", began, stage.done, seconds, team.size, flags, published)
            stage.save(record.extended(stage.sittings, now))
            answers, denses, missings, countings = [], [], [], []


def _report(stage: Stage, **losses: list[float]) -> dict[str, float]:
    """How far the stage is, and the mean losses since the last report."""
    counts = {"pictures": stage.done, "seconds": round(stage.seconds), "step": stage.step}
    return counts | {name: round(sum(values) / max(1, len(values)), 3) for name, values in losses.items()}


def main() -> None:
    """Train, going on from the last checkpoint."""
    arguments = parser().parse_args()
    team = join(arguments.threads)
    torch.manual_seed(arguments.seed)
    train(arguments, team)


if __name__ == "__main__":
    main()
