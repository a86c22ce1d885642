"""Slice pixels and normalised patches, bit for bit those of the official processors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import ImageError
from app.media.patches import cut_slices, normalize, to_patches
from app.media.slicing import SlicePlan, plan_slices

GOLDEN = Path(__file__).parents[1] / "golden"


def sliced(expected: Path) -> bool:
    return bool(json.loads(expected.read_text()).get("slices"))


MODELS = ("minicpm-v-2_6", "minicpm-llama3-v-2_5")
FILES = sorted(path for model in MODELS for path in (GOLDEN / model).glob("cases/*/expected.json"))
CASES = [path.parent for path in FILES if sliced(path)]


def image_names(case: dict[str, Any]) -> Iterator[str]:
    """The case's pictures in the order the model sees them."""
    if case["image_arg"]:
        yield case["image_arg"]
    conversations = case["messages"] if case["batched"] else [case["messages"]]
    for message in (message for conversation in conversations for message in conversation):
        if not isinstance(message["content"], str):
            yield from (part["path"] for part in message["content"] if part["type"] == "image")


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_there_are_golden_pictures_of_both_models() -> None:
    assert {case.parts[-3] for case in CASES} == set(MODELS)
    assert len(CASES) > 25


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parts[-3]}-{folder.name}")
def test_pixels_of_the_golden_cases(folder: Path) -> None:
    case = json.loads((folder / "messages.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    limit = case["chat_kwargs"].get("max_slice_nums", 9) if "v-2_6" in folder.parts[-3] else 9
    got: list[dict[str, Any]] = []
    counts: list[int] = []
    for name in image_names(case):
        image = Image.open(folder / name).convert("RGB")
        plan = plan_slices(image.size, limit)
        slices = cut_slices(image, plan)
        assert [piece.size for piece in slices] == plan.sizes
        counts.append(len(slices))
        for piece, tgt_size in zip(slices, plan.tgt_sizes, strict=True):
            patches = to_patches(piece)
            got.append(
                {
                    "pixel_values_shape": list(patches.shape),
                    "tgt_size_hw_patches": list(tgt_size),
                    "sha256_uint8_hwc": sha256(np.asarray(piece)),
                    "sha256_float32": sha256(normalize(patches)),
                }
            )
    assert counts == expected["slices_per_image"]
    assert got == [{key: row[key] for key in got[0]} for row in expected["slices"]]


def test_patches_lie_row_by_row() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 42, 3), np.uint8)
    patches = to_patches(Image.fromarray(pixels))
    assert patches.shape == (3, 14, 6 * 14)
    assert patches.dtype == np.uint8
    fifth = patches[:, :, 4 * 14 : 5 * 14]  # second row, second column
    assert np.array_equal(fifth, pixels[14:28, 14:28].transpose(2, 0, 1))


def test_cells_lie_row_by_row() -> None:
    plan = SlicePlan(overview=(28, 28), grid=(2, 2), refined=(28, 28), cell=(14, 14))
    pixels = np.zeros((28, 28, 3), np.uint8)
    pixels[:14, 14:], pixels[14:, :14], pixels[14:, 14:] = 1, 2, 3
    slices = cut_slices(Image.fromarray(pixels), plan)
    assert [int(np.asarray(piece)[7, 7, 0]) for piece in slices[1:]] == [0, 1, 2, 3]


def test_normalize_takes_a_mean_and_std_per_channel() -> None:
    patches = np.full((3, 2, 2), 255, np.uint8)
    result = normalize(patches, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    assert result.dtype == np.float32
    assert result[:, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_other_modes_and_ragged_sizes_are_refused() -> None:
    with pytest.raises(ImageError, match="mode L"):
        cut_slices(Image.new("L", (20, 20)), plan_slices((20, 20)))
    with pytest.raises(ImageError, match="multiples of 14"):
        to_patches(Image.new("RGB", (20, 28)))
