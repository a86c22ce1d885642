"""What the model does not know covers the picture and has no labels."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image

from finetune.tiny import unknown
from finetune.tiny.packed import Supplies, canvas_for


@pytest.fixture
def photograph() -> np.ndarray:
    """A step from red to blue, wider than high."""
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[:, :200, 0] = pixels[:, 200:, 2] = 255
    return pixels


@pytest.mark.parametrize("with_photographs", [False, True])
def test_it_fills_the_picture_and_is_no_object(
    supplies: Supplies, photograph: np.ndarray, with_photographs: bool
) -> None:
    own = replace(supplies, photographs=[photograph] * with_photographs)
    different = set()
    for seed in range(24):
        canvas = canvas_for((11, 13), Random(seed), own, 1.5)
        canvas.image.paste((1, 2, 3), (0, 0, *canvas.image.size))
        unknown.fill(canvas, canvas.rng, own)
        pixels = np.asarray(canvas.image)
        assert pixels.shape == (231, 273, 3) and (pixels == (1, 2, 3)).all(-1).mean() < 0.01
        assert canvas.objects == [] and not canvas.labels.table().any()
        different.add(pixels.tobytes())
    assert len(different) == 24


def test_every_way_is_taken(supplies: Supplies, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in ("_part_of", "_scenery", "_noise", "_clouds_only", "_mosaic"):
        plain = Image.new("RGB", (168, 168))
        monkeypatch.setattr(unknown, name, lambda *args, name=name, plain=plain: taken.append(name) or plain)
    own = replace(supplies, photographs=[photograph])
    for seed in range(200):
        unknown.fill(canvas_for((12, 12), Random(seed), own, 1.0), Random(seed), own)
    assert len(set(taken)) == 5 and taken.count("_part_of") > 60


def test_a_part_of_a_photograph_is_not_squeezed(photograph: np.ndarray) -> None:
    disc = np.zeros((300, 500, 3), np.uint8)
    down, across = np.mgrid[:300, :500]
    disc[np.hypot(down - 150, across - 250) < 60] = 255
    for seed in range(40):
        part = np.asarray(unknown._part_of(disc, (180, 120), Random(seed)).convert("L")) > 60
        rows, cols = part.any(1), part.any(0)
        if rows.any() and not (rows[0] or rows[-1] or cols[0] or cols[-1]):
            assert rows.sum() == pytest.approx(cols.sum(), abs=4)
            break
    else:
        pytest.fail("no part shows the whole disc")


def test_the_same_numbers_draw_the_same(supplies: Supplies) -> None:
    drawn = []
    for _ in range(2):
        canvas = canvas_for((12, 12), Random(8), supplies, 1.0)
        unknown.fill(canvas, canvas.rng, supplies)
        drawn.append(np.asarray(canvas.image))
    assert (drawn[0] == drawn[1]).all()
