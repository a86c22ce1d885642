"""How the parts start: finite, position-aware, and each query reads its own place."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from app.modeling.positions import grid_position_ids
from app.modeling.resampler import Resampler, sincos_2d
from app.modeling.siglip import VisionAttention, VisionConfig
from finetune.tiny import shape


def test_an_untrained_tower_gives_finite_features_of_every_place() -> None:
    torch.manual_seed(0)
    tower = shape.new_tower()
    assert tower.config.hidden_size == shape.VISION["hidden_size"] and not hasattr(tower, "head")
    with torch.no_grad():
        features = tower(torch.zeros(1, 3, 14, 144 * 14), grid_position_ids(12, 12, 24)[None])[0]
    assert features.shape == (144, 192) and features.isfinite().all()
    # One colour everywhere, yet the places differ: far ones more than near ones.
    assert features.std(0).mean() > 0.1
    places = F.normalize(tower.embeddings.position_embedding(grid_position_ids(12, 12, 24)), dim=-1)
    alike = places @ places.T
    assert alike[0, 1] > alike[0, 6] > alike[0, 143]


def test_places_go_through_the_tower_whatever_it_learns() -> None:
    torch.manual_seed(0)
    tower = shape.new_tower()
    optimizer = torch.optim.SGD(tower.parameters(), 0.1)
    positions = grid_position_ids(12, 12, 24)[None]
    blank, drawn = torch.zeros(1, 3, 14, 144 * 14), torch.randn(1, 3, 14, 144 * 14)
    before, tower_out = tower.embeddings(drawn, positions)[0], tower(drawn, positions)
    tower_out.square().mean().backward()
    optimizer.step()
    kept = slice(shape.PLACE_CHANNELS)
    with torch.no_grad():
        for pixels in (blank, drawn):
            states = tower.embeddings(pixels, positions)
            for layer in tower.encoder.layers:
                states = layer(states)
            # What leaves the last block still tells the row and the column, the same for every picture.
            torch.testing.assert_close(states[0, :, kept], before[:, kept], atol=0.1, rtol=0)
            code = torch.cat([states[0, :, kept], torch.ones(144, 1)], 1)
            place = torch.stack([torch.arange(144) // 12, torch.arange(144) % 12], -1).float()
            off = code @ torch.linalg.lstsq(code, place).solution - place
            assert off.abs().max() < 0.5


def test_the_table_of_places_is_read_at_every_step() -> None:
    code = shape.stretched_code(24, 24, 64, 1.25)
    assert code.shape == (24, 24, 64)
    assert (code[0, 4] == sincos_2d(31, 31, 64)[0, 5]).all() and (code[8, 0] == sincos_2d(31, 31, 64)[10, 0]).all()


def test_attention_starts_mimetic() -> None:
    torch.manual_seed(0)
    attention = VisionAttention(VisionConfig(hidden_size=96, num_attention_heads=2))
    with torch.no_grad():
        shape.start_attention(attention)
        for head in range(2):
            rows = slice(48 * head, 48 * head + 48)
            product = attention.q_proj.weight[rows].T @ attention.k_proj.weight[rows]
            assert 0.3 < product.diagonal().mean() < 1.1
            assert product.fill_diagonal_(0).mean().abs() < 0.02
        product = attention.out_proj.weight @ attention.v_proj.weight
        assert product.diagonal().mean() == pytest.approx(-0.4, abs=0.05)
    assert not attention.q_proj.bias.any() and not attention.out_proj.bias.any()


@pytest.mark.parametrize("size", [(12, 12), (8, 18), (16, 9)])
def test_each_query_first_reads_the_patches_around_its_place_whatever_the_shape(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    tower, resampler = shape.new_tower(), Resampler(shape.QUERIES, 256, 2, 192)
    rows, cols = size
    with torch.no_grad():
        features = torch.randn(1, rows * cols, 192)
        code = tower.embeddings.position_embedding(grid_position_ids(rows, cols, 24))
        features[..., : shape.PLACE_CHANNELS] = code[:, : shape.PLACE_CHANNELS] / 5
        shape.start_resampler(resampler, shape.place_gain(features))
        keys = resampler.ln_kv(resampler.kv_proj(features[0]))
        assert keys[:, 48:64].square().mean() == pytest.approx(3.3, abs=0.5), "the places weigh twice what is seen"
        keys = keys + resampler.positions(rows, cols, like=keys)
        query, key = (
            (states @ resampler.attn.in_proj_weight[at : at + 256].T).unflatten(-1, (2, 128)).transpose(0, 1)
            for states, at in ((resampler.queries(), 0), (keys, 256))
        )
        weights = (query @ key.mT / 128**0.5).softmax(-1)  # (heads, queries, patches)
        out = resampler(features, size)
    assert out.shape == (1, shape.QUERIES, 256) and out.isfinite().all()
    number = torch.arange(rows * cols)
    places = torch.stack([(number // cols + 0.5) / rows, (number % cols + 0.5) / cols], -1)
    side = math.isqrt(shape.QUERIES)
    number = torch.arange(shape.QUERIES)
    own = (torch.stack([number // side, number % side], -1) + 0.5) / side
    off = (weights.mean(0) @ places - own).norm(dim=-1)
    spread = (weights.mean(0) * torch.cdist(own, places)).sum(-1)
    # In shares of the side; the distance between two queries is a sixth.
    assert off.mean() < 0.09 and off.max() < 0.16 and spread.mean() < 0.16
    assert weights.sum((0, 1)).min() > 0.05, "every patch is read"
    left, right = (weights @ places)[..., 1]
    assert (right - left).mean() > 0.01, "one head looks to the left of its place, one to the right"
