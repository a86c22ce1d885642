"""Pictures packed full, with the labels of all their patches."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from finetune.tiny.canvas import CHARACTERS
from finetune.tiny.packed import GRIDS, Supplies, canvas_for, cells, packed, page, random_text, some_style
from finetune.tiny.palette import NAMES, SHAPE_NAMES


def test_pictures_and_labels_have_the_size_of_their_grid(supplies: Supplies) -> None:
    for seed, grid in enumerate(GRIDS):
        pixels, labels = packed(grid, Random(seed), supplies)
        assert pixels.shape == (grid[0] * 14, grid[1] * 14, 3) and pixels.dtype == np.uint8
        for table, most in (
            (labels.colour, len(NAMES)), (labels.what, len(SHAPE_NAMES) + len(supplies.words)),
            (labels.left, len(CHARACTERS)), (labels.right, len(CHARACTERS)),
        ):  # fmt: skip
            assert table.shape == grid and table.max() <= most and table.min() >= -100


def test_pictures_are_full(supplies: Supplies) -> None:
    covered = []
    for seed in range(30):
        _, labels = packed((12, 12), Random(seed), supplies)
        covered.append(((labels.what != 0) | (labels.left != 0) | (labels.right != 0)).mean())
    assert np.mean(covered) > 0.25


def test_every_kind_of_object_is_drawn(supplies: Supplies) -> None:
    kinds = set()
    for seed in range(6):
        canvas = canvas_for((12, 12), Random(seed), supplies)
        cells(canvas, canvas.rng, supplies, things=seed % 2 == 0)
        kinds |= {thing.kind for thing in canvas.objects}
    assert kinds == {"shape", "thing", "text"}


def test_a_page_is_written_from_edge_to_edge(supplies: Supplies) -> None:
    for seed in range(6):
        canvas = canvas_for((12, 12), Random(seed), supplies, 1.0)
        page(canvas, canvas.rng, supplies)
        lines = [thing for thing in canvas.objects if thing.kind == "text"]
        if lines:
            assert len(lines) >= 4 and lines[-1].box[3] > 0.7
            assert max(line.box[2] for line in lines) > 0.7
            break
    else:
        raise AssertionError("no page was written")


def test_a_seed_gives_the_same_picture(supplies: Supplies) -> None:
    (first, labels), (second, same) = (packed((12, 12), Random(3), supplies) for _ in range(2))
    assert np.array_equal(first, second) and np.array_equal(labels.left, same.left)
    assert not np.array_equal(first, packed((12, 12), Random(4), supplies)[0])


def test_texts_to_read_are_short_and_of_all_kinds(supplies: Supplies) -> None:
    texts = [random_text(Random(seed), 5, supplies) for seed in range(300)]
    assert all(1 <= len(text) <= 5 and set(text) <= set(CHARACTERS) for text in texts)
    assert any(text.isdigit() for text in texts) and any(text.isupper() for text in texts)
    assert any(text.islower() for text in texts) and any(not text.isalnum() for text in texts)
    words = {word[:5].lower() for line in supplies.lines for word in line.split()}
    assert sum(text.lower() in words for text in texts) > 20


def test_every_drawing_is_as_frequent_as_any_other(supplies: Supplies) -> None:
    styles = {style: dict(list(drawn.items())[:count]) for (style, drawn), count in zip(
        supplies.sprites.items(), (5, 1), strict=True)}  # fmt: skip
    some = Supplies(supplies.fonts, styles, supplies.words, supplies.lines)
    rng = Random(0)
    drawn = [some_style(rng, some) for _ in range(600)]
    assert drawn.count("flat") == pytest.approx(500, abs=40)
