"""Parts of the models against the official code's numbers."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from app.modeling.positions import grid_position_ids, position_buckets
from app.modeling.resampler import Resampler, sincos_2d
from tests.modeling.golden import MODELS, ROOT


@pytest.mark.parametrize("model", MODELS)
def test_position_buckets(model: str) -> None:
    table = json.loads((ROOT / model / "units" / "position_buckets_70.json").read_text())
    assert len(table) > 50
    for count, wanted in table.items():
        assert position_buckets(int(count), 70).tolist() == wanted


def test_position_ids_of_slices() -> None:
    table = json.loads((ROOT / "minicpm-v-2_6" / "units" / "navit_position_ids_by_tgt_size.json").read_text())
    for size, wanted in table.items():
        rows, cols = map(int, size.split("x"))
        assert grid_position_ids(rows, cols, 70).tolist() == wanted


def test_position_ids_of_one_row() -> None:
    path = ROOT / "minicpm-llama3-v-2_5" / "units" / "idefics2_position_ids_by_max_patches.json"
    for count, wanted in json.loads(path.read_text()).items():
        assert position_buckets(int(count), 70).tolist() == wanted


def test_resampler_with_two_heads() -> None:
    tensors = load_file(ROOT / MODELS[0] / "units" / "resampler_embed256_heads2.safetensors")
    weights = {name.removeprefix("w."): value for name, value in tensors.items() if name.startswith("w.")}
    resampler = Resampler(num_queries=len(weights["query"]), embed_dim=256, num_heads=2, kv_dim=64)
    resampler.load_state_dict(weights, strict=True)
    with torch.inference_mode():
        for suffix in ("", "_wide"):
            sizes = tensors["tgt_sizes" + suffix].tolist()
            for hidden, wanted, (rows, cols) in zip(tensors["x" + suffix], tensors["y" + suffix], sizes, strict=True):
                got = resampler(hidden[None, : rows * cols], (rows, cols))[0]
                torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)


def test_sincos_positions() -> None:
    tensors = load_file(ROOT / MODELS[0] / "units" / "resampler_embed256_heads2.safetensors")
    torch.testing.assert_close(torch.from_numpy(sincos_2d(4, 6, 256)), tensors["pos_embed_4x6"], atol=1e-6, rtol=0)
    row = torch.from_numpy(sincos_2d(1, 70, 256))[0, 64:]
    # Processors differ in a frequency's last place of float32, 2^-24: at place 69 by 4.1e-6 rad.
    torch.testing.assert_close(row, tensors["pos_embed_row0_64_70"], atol=4.2e-6, rtol=0)
