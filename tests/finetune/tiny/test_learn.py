"""The second stage: the whole model as inference runs it, loss on answers alone, runs that go on."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import AutoModel, AutoProcessor

import app.modeling  # noqa: F401  registers the family
from finetune.tiny import curriculum, embedded, learn, record, tokens, towers
from finetune.tiny.dense import LABELS
from finetune.tiny.packed import GRIDS, Supplies, canvas_for
from finetune.tiny.samples import Exchange, Sample, TokenWriter, cut, whole
from finetune.tiny.scenes import several
from finetune.tiny.shape import QUERIES


def sample_of(tokenizer: Tokenizer, supplies: Supplies, scale: float, text: str = "a red star") -> tuple[Sample, Any]:
    """One question about a picture, and the picture."""
    canvas = canvas_for((12, 12), Random(1), supplies, scale)
    several(canvas, canvas.rng, supplies)
    pixels = canvas.picture(shrink=False)
    image = Image.fromarray(pixels)
    table = np.ones((len(LABELS), 144), np.int64)
    picture = cut(image, 9) if scale > 1 else whole(pixels, table)
    return TokenWriter(tokenizer).write([Exchange("What is this?", text, [picture])]), image


@pytest.fixture
def model(small: None, tokenizer: Tokenizer) -> Any:
    torch.manual_seed(0)
    return embedded.new_model(tokenizer)


def test_batches_are_padded_and_features_have_their_places(tokenizer: Tokenizer, supplies: Supplies) -> None:
    short, _ = sample_of(tokenizer, supplies, 1.0)
    long, _ = sample_of(tokenizer, supplies, 2.0)
    batch = learn.Batch([short, long], 9)
    assert batch.ids.shape == batch.labels.shape == (2, len(long.ids))
    assert batch.ids[0, len(short.ids) :].eq(9).all() and batch.labels[0, len(short.ids) :].eq(-100).all()
    assert sum(len(pixels) for pixels, _ in batch.groups) == 1 + 5
    unknown = tokens.id_of(tokenizer, "<unk>")
    places = torch.cat([places for _, places in batch.groups])
    assert batch.ids.flatten()[places].eq(unknown).all() and len(places) == int(batch.ids.eq(unknown).sum())
    assert batch.dense is None


def test_dense_labels_are_there_for_whole_pictures_alone(tokenizer: Tokenizer, supplies: Supplies) -> None:
    short, _ = sample_of(tokenizer, supplies, 1.0)
    spoken = TokenWriter(tokenizer).write([Exchange("Hello", "Hello!")])
    dense = learn.Batch([short, spoken, short], 0).dense
    assert dense is not None and dense.shape == (2, len(LABELS), 144)
    assert learn.Batch([spoken], 0).dense is None


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_the_model_sees_what_it_sees_in_the_application(
    model: Any, tokenizer: Tokenizer, supplies: Supplies, tmp_path: Path, scale: float
) -> None:
    embedded.write(model, tokenizer, tmp_path)
    sample, image = sample_of(tokenizer, supplies, scale)
    inputs = AutoProcessor.from_pretrained(tmp_path).chat_inputs(
        [[{"role": "user", "content": [image, "What is this?"]}]]
    )
    with torch.no_grad():
        ours, seen = learn.encode(model, learn.Batch([sample], 0), False)
        theirs, _ = model.get_inputs_embeds(
            inputs["input_ids"], inputs["pixel_values"], inputs["tgt_sizes"], inputs["image_bound"], None
        )
    length = theirs.shape[1]
    torch.testing.assert_close(ours[:, :length], theirs, rtol=1e-4, atol=1e-4)
    assert (seen is not None) == (scale == 1.0 or len({piece.shape for piece in sample.pieces}) == 1)


def test_the_loss_is_that_of_the_answer(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    sample, _ = sample_of(tokenizer, supplies, 1.0)
    batch = learn.Batch([sample], 0)
    with torch.no_grad():
        embeds, _ = learn.encode(model, batch, False)
        loss = learn.answer_loss(model, embeds, batch).answers
        logits = model.llm(inputs_embeds=embeds).logits[0]
    answer = [at for at, label in enumerate(sample.labels) if label != -100]
    expected = -torch.stack([logits[at - 1].log_softmax(-1)[sample.ids[at]] for at in answer]).mean()
    assert loss.item() == pytest.approx(expected.item() * (len(answer) ** 0.5 / learn.FULL) ** 0.5, rel=1e-4)


def test_a_long_answer_counts_more_but_not_as_much_as_its_tokens() -> None:
    assert learn.answer_weights([-100, 5, -100, -100, 6, 7, 8, 9]) == [0, 1, 0, 0, 0.5, 0.5, 0.5, 0.5]


def test_the_tower_learns_only_when_it_is_told_to(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    batch = learn.Batch([sample_of(tokenizer, supplies, 1.0)[0]], 0)
    for told in (False, True):
        model.zero_grad()
        embeds, _ = learn.encode(model, batch, told)
        learn.answer_loss(model, embeds, batch).answers.backward()
        weight = model.vpm.encoder.layers[0].mlp.fc1.weight
        assert (weight.grad is not None and bool(weight.grad.any())) == told
        assert model.resampler.query.grad.any()


@pytest.fixture
def train(
    small: None, supplies: Supplies, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The command, four slices a step, after a first stage that learned nothing."""
    monkeypatch.setattr(learn, "gather", lambda cache: supplies)
    monkeypatch.setattr(learn, "SLICES", 4)
    monkeypatch.setattr(curriculum, "SLICES", 4)
    monkeypatch.setattr(curriculum, "GRIDS", GRIDS[:1])

    def run(out: str, pictures: int, start: str = "") -> dict[str, Any]:
        folder = tmp_path / out
        if not start and not folder.exists():
            folder.mkdir()
            tokenizer.save(str(folder / "tokenizer.json"))
            torch.manual_seed(3)
            torch.set_num_threads(1)  # as the command does: what starts orthogonal depends on it in its last bits
            stage = towers.Stage(len(supplies.words), folder / "tower.pt")
            stage.done, stage.seconds = 100, 7200.0
            stage.save()
        flags = f"--cache none --pictures {pictures} --threads 1 --cooling 0 --easy 10 --packed 0.2".split()
        begin = ["--published", str(tmp_path / start)] if start else []
        monkeypatch.setattr(sys, "argv", ["learn", *flags, "--out", str(folder), *begin])
        learn.main()
        return torch.load(folder / "model.pt")

    return run


def test_a_stopped_run_goes_on_as_if_it_never_stopped(train: Any, tmp_path: Path) -> None:
    whole_run = train("whole", 12)
    first = train("stopped", 4)
    resumed = train("stopped", 12)
    assert first["step"] == 1 and whole_run["step"] == resumed["step"] == 3 and resumed["done"] == 12
    for name, value in resumed["model"].items():
        assert torch.equal(whole_run["model"][name], value), name
    moved = [name for name, value in first["model"].items() if not torch.equal(value, resumed["model"][name])]
    assert any("llm" in name for name in moved) and any("resampler" in name for name in moved)
    assert AutoModel.from_pretrained(tmp_path / "stopped" / "checkpoint").config.query_num == QUERIES
    assert '"hours": 2.0' in (tmp_path / "stopped" / "checkpoint" / "training.json").read_text()


def test_a_run_begins_with_the_tower_of_the_first_stage(train: Any, tmp_path: Path) -> None:
    after = train("one", 4)["model"]
    before = torch.load(tmp_path / "one" / "tower.pt")["model"]
    for name in before:
        value = after[f"model.{name}" if name.startswith(("vpm.", "resampler.")) else name]
        # One step of the warm-up moved it by a hair.
        assert (value - before[name]).abs().max() < 1e-3


def test_a_run_goes_on_from_a_published_checkpoint(train: Any, tmp_path: Path) -> None:
    published = train("published", 8)
    after = train("later", 12, start="published/checkpoint")
    assert after["done"] == 12 and after["step"] == 3 and after["began"] == 8
    name = "model.llm.model.layers.0.mlp.up_proj.weight"
    # Published in bf16; then one step of a new warm-up.
    assert (after["model"][name] - published["model"][name]).abs().max() < 0.01
    stages = record.read(tmp_path / "later" / "checkpoint" / record.NAME)
    assert [(stage.name, stage.pictures) for stage in stages] == [("tower", 100), ("answers", 12)]
    again = train("later", 16)
    assert again["done"] == 16 and again["began"] == 8
    own, theirs = (Tokenizer.from_file(str(tmp_path / name / "tokenizer.json"))
                   for name in ("later", "published/checkpoint"))  # fmt: skip
    # Published with names that were several tokens each.
    assert len(theirs.encode("猫头鹰").ids) > 1 == len(own.encode("猫头鹰").ids)
    name = "model.llm.lm_head.weight"
    place, before = own.token_to_id("!"), theirs.token_to_id("!")
    assert after["model"][name].shape[0] == own.get_vocab_size() > theirs.get_vocab_size()
    assert (after["model"][name][place] - published["model"][name][before]).abs().max() < 0.01


def test_a_published_language_model_gets_the_eyes_of_a_first_stage(train: Any, tmp_path: Path) -> None:
    published = train("published", 8)
    later = tmp_path / "later"
    later.mkdir()
    (later / "tower.pt").write_bytes((tmp_path / "published" / "tower.pt").read_bytes())
    first = torch.load(later / "tower.pt")["model"]
    after = train("later", 12, start="published/checkpoint")["model"]
    word, seen = "model.llm.model.layers.0.mlp.up_proj.weight", "resampler.kv_proj.weight"
    assert (after[word] - published["model"][word]).abs().max() < 0.01
    assert (after[f"model.{seen}"] - first[seen]).abs().max() < 1e-3
    stages = record.read(later / "checkpoint" / record.NAME)
    assert [(stage.name, stage.pictures) for stage in stages] == [("tower", 100), ("tower", 100), ("answers", 12)]
