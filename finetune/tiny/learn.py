"""Second stage: the whole model learns to answer, starting from the tower of the first.

python -m finetune.tiny.learn --cache DIR --out DIR --pictures 300000       goes on from OUT if it holds a run
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from random import Random
from time import monotonic

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from app.families.minicpm_v_2_6 import MiniCPMV26
from app.modeling.positions import grid_position_ids
from finetune.tiny import record, tokens
from finetune.tiny.curriculum import SLICES, Curriculum
from finetune.tiny.embedded import new_model, write
from finetune.tiny.optimizers import Optimizers, schedule
from finetune.tiny.parallel import join
from finetune.tiny.samples import Sample, TokenWriter
from finetune.tiny.supplies import gather
from finetune.tiny.towers import Heads, PackedPictures, features_of, plain_attention, save, to_slices
from finetune.tiny.vocabulary import tokenizer_for

TOWER_SHARE = 0.25
# Share of steps that teach the tower alone, by packed pictures, so that it goes on learning.
PACKED_SHARE = 0.15
DENSE_SHARE = 0.2
# Answer tokens from which on a batch counts in full.
FULL = 300


class Batch:
    """Samples as tensors.

    Attributes:
        ids, labels: int64 (B, L), padded on the right.
        groups: slices of equal size, uint8 (n, H, W, 3), with their places, int64 (n * queries,), in the flat batch.
        dense: int64 (n, 4, N), what covers the patches of the only group; None if not known of all its slices.
    """

    def __init__(self, samples: list[Sample], pad: int) -> None:
        length = max(len(sample.ids) for sample in samples)
        self.ids = torch.full((len(samples), length), pad)
        self.labels = torch.full((len(samples), length), -100)
        pieces = defaultdict(list)
        places = defaultdict(list)
        for row, sample in enumerate(samples):
            self.ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
            self.labels[row, : len(sample.ids)] = torch.tensor(sample.labels)
            for piece, (start, stop) in zip(sample.pieces, sample.places, strict=True):
                pieces[piece.shape].append(torch.from_numpy(piece.copy()))
                places[piece.shape].append(torch.arange(start, stop) + row * length)
        self.groups = [(torch.stack(pieces[shape]), torch.cat(places[shape])) for shape in pieces]
        known = [sample for sample in samples if sample.pieces]
        whole = known and all(sample.dense is not None for sample in known) and len(self.groups) == 1
        self.dense = torch.stack([torch.from_numpy(s.dense) for s in known if s.dense is not None]) if whole else None


def encode(model: MiniCPMV26, batch: Batch, learn: bool) -> tuple[Tensor, Tensor | None]:
    """Embeddings (B, L, width) with the slices' features in their places, and the tower's output of the only group."""
    embeds = model.llm.model.embed_tokens(batch.ids)
    flat, features = embeds.flatten(0, 1), None
    for pixels, places in batch.groups:
        slices, size = to_slices(pixels)
        positions = grid_position_ids(*size, model.config.vision_config.table_side)[None]
        with torch.set_grad_enabled(learn), plain_attention():
            features = model.vpm(slices, positions)
        queries = model.resampler(features, size)
        flat = flat.index_copy(0, places, queries.flatten(0, 1).to(flat.dtype))
    return flat.view_as(embeds), features if len(batch.groups) == 1 else None


def answer_loss(model: MiniCPMV26, embeds: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the answers' tokens."""
    hidden = model.llm.model(inputs_embeds=embeds, use_cache=False).last_hidden_state
    targets = labels[:, 1:]
    asked = targets != -100
    loss = F.cross_entropy(model.llm.lm_head(hidden[:, :-1][asked]).float(), targets[asked])
    # A batch with few answers says little; alone it should not move the model as far as one with many.
    return loss * min(1.0, (int(asked.sum()) / FULL) ** 0.5)


def main() -> None:
    """Train, going on from the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=300_000)
    parser.add_argument("--cooling", type=float, default=0.3)
    parser.add_argument("--easy", type=int, default=30_000, help="pictures until single objects come no more often")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="a quarter faster after a minute; needs a C++ compiler")
    arguments = parser.parse_args()
    team = join(arguments.threads)
    torch.manual_seed(arguments.seed)
    supplies = gather(arguments.cache)
    tokenizer = tokenizer_for(supplies, arguments.out / "tokenizer.json")
    model, path = new_model(tokenizer), arguments.out / "model.pt"
    heads = Heads(model.config.vision_config.hidden_size, len(supplies.words))
    both = nn.ModuleDict({"model": model, "heads": heads})
    named = [(name.removeprefix("model."), p) for name, p in both.named_parameters()]
    optimizers = Optimizers(named, slow={"vpm.": TOWER_SHARE, "heads.": TOWER_SHARE})
    done, seconds, step = 0, 0.0, 0
    tower = torch.load(arguments.out / "tower.pt", weights_only=True)
    if path.exists():
        state = torch.load(path, weights_only=True)
        both.load_state_dict(state["model"])
        optimizers.load_state_dict(state["optimizers"])
        done, seconds, step = state["done"], state["seconds"], state["step"]
    else:
        learned = {name.replace("vpm.", "model.vpm."): value for name, value in tower["model"].items()}
        both.load_state_dict(learned, strict=False)
    team.agree(optimizers.parameters)
    if arguments.compile:
        for part in (*model.llm.model.layers, model.llm.model.norm, *model.vpm.encoder.layers):
            part.compile(dynamic=True)
    curriculum, pad = Curriculum(supplies, TokenWriter(tokenizer)), tokens.id_of(tokenizer, "<|endoftext|>")
    packed_pictures = PackedPictures(supplies, arguments.seed, SLICES)
    started = last = monotonic()
    spent, losses, denses = seconds, [], []
    while done < arguments.pictures:
        # All processes draw the same kind of batch, so that none waits for the others.
        kind = Random(f"{arguments.seed} {step}").random()
        rng = Random(f"{arguments.seed} {step} {team.rank}")
        if Random(f"packed {arguments.seed} {step}").random() < PACKED_SHARE:
            pixels, labels = packed_pictures.batch(step * team.size + team.rank)
            with plain_attention(), torch.autocast("cpu", torch.bfloat16):
                total = heads.loss(features_of(model.vpm, pixels), labels)
            denses.append(total.item())
        else:
            batch = Batch(curriculum.batch(rng, kind, max(0.0, 1 - done / arguments.easy)), pad)
            with torch.autocast("cpu", torch.bfloat16):
                embeds, features = encode(model, batch, step % 2 == 0 and batch.dense is not None)
                total = answer_loss(model, embeds, batch.labels)
                losses.append(total.item())
                if features is not None and features.requires_grad and batch.dense is not None:
                    total = total + DENSE_SHARE * heads.loss(features, batch.dense)
        total.backward()
        team.average(optimizers.parameters)
        optimizers.step(schedule(done, 6000, arguments.pictures, arguments.cooling))
        done += SLICES * team.size
        step += 1
        if team.first and (monotonic() - last > 120 or done >= arguments.pictures):
            seconds = spent + monotonic() - started
            mean = lambda values: round(sum(values) / max(1, len(values)), 3)  # noqa: E731
            report = {
                "pictures": done,
                "seconds": round(seconds),
                "step": step,
                "loss": mean(losses),
                "dense": mean(denses),
            }
            print(json.dumps(report), flush=True)
            state = {"done": done, "seconds": seconds, "step": step}
            save(path, model=both.state_dict(), optimizers=optimizers.state_dict(), **state)
            write(model, tokenizer, arguments.out / "checkpoint")
            stages = [("tower", tower["done"], tower["seconds"]), ("answers", done, seconds)]
            record.write(arguments.out / "record.json", arguments.seed, stages)
            last, losses, denses = monotonic(), [], []


if __name__ == "__main__":
    main()
