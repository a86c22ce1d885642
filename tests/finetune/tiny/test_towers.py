"""The first stage: batches, losses, and a run that goes on where it was stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from app.media.patches import normalize, to_patches
from finetune.tiny import towers
from finetune.tiny.dense import LABELS
from finetune.tiny.embedded import new_resampler
from finetune.tiny.packed import Supplies
from finetune.tiny.towers import PackedPictures, save, to_slices


@pytest.fixture
def train(small: None, supplies: Supplies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command over pictures of 8 x 8 patches, two a step."""
    monkeypatch.setattr(towers, "gather", lambda cache: supplies)
    monkeypatch.setattr(towers, "BATCH", 2)
    monkeypatch.setattr(towers, "GRIDS", ((8, 8),))

    def run(out: str, pictures: int, alone: float = 0.0, *more: str) -> dict[str, Any]:
        flags = [*f"--cache none --pictures {pictures} --threads 1 --cooling 0 --alone {alone}".split(), *more]
        monkeypatch.setattr(sys, "argv", ["towers", *flags, "--out", str(tmp_path / out)])
        towers.main()
        return torch.load(tmp_path / out / "tower.pt")

    return run


def test_batches_are_the_same_for_a_number_and_of_one_size(supplies: Supplies) -> None:
    data = PackedPictures(supplies, 1, 2)
    (pixels, labels), (same, _), (other, _) = data.batch(3), data.batch(3), data.batch(4)
    assert pixels.dtype == torch.uint8 and pixels.shape[0] == 2 and pixels.shape[3] == 3
    assert labels.shape == (2, len(LABELS), pixels.shape[1] * pixels.shape[2] // 196) and labels.dtype == torch.int64
    assert torch.equal(pixels, same) and not torch.equal(pixels, other)
    assert not torch.equal(PackedPictures(supplies, 2, 2).batch(3)[0], pixels)


def test_slices_are_those_of_the_application() -> None:
    pixels = torch.randint(0, 256, (2, 42, 70, 3), dtype=torch.uint8)
    slices, size = to_slices(pixels)
    assert size == (3, 5) and slices.shape == (2, 3, 14, 15 * 14)
    for own, picture in zip(slices, pixels, strict=True):
        theirs = torch.from_numpy(normalize(to_patches(Image.fromarray(picture.numpy()))))
        torch.testing.assert_close(own, theirs, rtol=0, atol=1e-6)


def test_the_loss_falls_on_pictures_it_has_seen(small: None, supplies: Supplies, tmp_path: Path) -> None:
    torch.manual_seed(0)
    stage = towers.Stage(len(supplies.words), tmp_path / "tower.pt")
    pixels, labels = PackedPictures(supplies, 1, 2).batch(0)
    assert set(stage.measure([(pixels, labels)])) == set(LABELS)
    stage.start_reading(pixels)
    losses = []
    for _ in range(12):
        loss = stage.loss(pixels, labels)
        loss.backward()
        stage.optimizers.step(1.0)
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    known = stage.measure([(pixels, labels)])
    assert set(known) == {*LABELS, *(f"read_{name}" for name in LABELS)}
    assert all(0 <= value <= 1 for value in known.values())


def test_the_resampler_joins_when_its_time_has_come(train: Any, capsys: pytest.CaptureFixture[str]) -> None:
    alone, joined = train("alone", 4, alone=1.0), train("joined", 4, alone=0.5)
    assert (alone["reads"], joined["reads"]) == (False, True)
    fresh = new_resampler()
    kept = [torch.equal(alone["model"][f"resampler.{name}"], value) for name, value in fresh.state_dict().items()]
    assert not all(kept), "started from random numbers of its own"
    gain = joined["model"]["resampler.kv_proj.weight"][16:32, :16].diagonal().mean()
    assert gain != pytest.approx(
        float(alone["model"]["resampler.kv_proj.weight"][16:32, :16].diagonal().mean()), rel=1e-3
    )
    assert {"read_colour", "read_what"} < set(json.loads(capsys.readouterr().out.splitlines()[-1]))


def test_a_stopped_run_goes_on_as_if_it_never_stopped(train: Any, capsys: pytest.CaptureFixture[str]) -> None:
    whole = train("whole", 6)
    train("stopped", 2)
    resumed = train("stopped", 6)
    assert whole["done"] == resumed["done"] == 6
    assert all(torch.equal(whole["model"][name], value) for name, value in resumed["model"].items())
    untrained = train("untrained", 2)
    assert not torch.equal(untrained["model"]["heads.what.weight"], whole["model"]["heads.what.weight"])
    report = json.loads(capsys.readouterr().out.splitlines()[0])
    assert report["pictures"] == 6 and report["loss"] > 0 and {"colour", "what", "left", "right"} < set(report)


def test_a_finished_run_stays_as_it_is(train: Any) -> None:
    first, second = train("out", 2), train("out", 2)
    assert first["seconds"] == second["seconds"] and second["done"] == 2


def test_a_stop_while_saving_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tower.pt"
    save(path, done=1)

    def broken(state: Any, target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(KeyboardInterrupt):
        save(path, done=2)
    monkeypatch.undo()
    assert torch.load(path) == {"done": 1}


def test_a_run_goes_on_from_a_published_tower(train: Any, supplies: Supplies, tmp_path: Path) -> None:
    tower = towers.Stage(len(supplies.words), tmp_path / "none.pt").tower
    weights = {f"vpm.{name}": value.contiguous() for name, value in tower.state_dict().items()}
    save_file(weights | {"llm.lm_head.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    after = train("later", 2, 0.0, "--published", str(tmp_path))["model"]
    for name, value in weights.items():
        assert (after[name] - value).abs().max() < 1e-3, name
