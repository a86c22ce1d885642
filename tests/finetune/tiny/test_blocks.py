"""The language model's blocks as formulas say what the modules say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers.models.qwen2.modeling_qwen2 import Qwen2Config, Qwen2Model

from finetune.tiny.blocks import attend, language_block, projected, scaled, turned

LOW = torch.bfloat16


@pytest.fixture(params=[torch.bfloat16, torch.float32])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """What the training computes in, here or on another machine."""
    return request.param


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return Qwen2Model(
        Qwen2Config(
            hidden_size=64, intermediate_size=96, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=10,
        )
    )  # fmt: skip


def near(one: torch.Tensor, other: torch.Tensor, share: float = 0.02) -> bool:
    """Whether two tensors differ by less than bfloat16 makes them."""
    return bool((one.float() - other.float()).norm() < share * other.float().norm())


def test_a_block_and_its_gradients_are_those_of_the_module(model: Any, dtype: torch.dtype) -> None:
    layer, length = model.layers[0], 9
    with torch.no_grad():
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
            part.bias.normal_(std=0.1)
        layer.input_layernorm.weight.normal_(1, 0.2)
        layer.post_attention_layernorm.weight.normal_(1, 0.2)
        # As strong as a trained one, so that a fault in the attention is seen.
        layer.self_attn.q_proj.weight.mul_(20)
        layer.self_attn.k_proj.weight.mul_(20)
    hidden, positions = torch.randn(3, length, 64), torch.arange(length)[None]
    codes = model.rotary_emb(hidden, positions)
    expected = layer(hidden, attention_mask=None, position_ids=positions, position_embeddings=codes)
    cosines, sines = (code[0].to(dtype) for code in codes)
    mask = torch.full((length, length), -torch.inf).triu(1)
    found, queries, keys = language_block(hidden, layer, cosines, sines, mask)
    assert queries.dtype == keys.dtype == dtype
    assert found.dtype == torch.float32 and near(found, expected)
    aim = torch.randn_like(hidden)
    for name, parameter in layer.named_parameters():
        (wanted,) = torch.autograd.grad((expected * aim).sum(), parameter, retain_graph=True)
        (got,) = torch.autograd.grad((found * aim).sum(), parameter, retain_graph=True)
        if name != "self_attn.k_proj.bias":  # no score depends on it but by the place codes: next to nothing
            assert near(got, wanted, 0.05), name


def test_queries_of_a_group_attend_to_their_own_keys() -> None:
    torch.manual_seed(1)
    query, key, value = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    expected = F.scaled_dot_product_attention(query, key, value, enable_gqa=True).transpose(1, 2).flatten(2)
    assert near(attend(query.to(LOW), key.to(LOW), value.to(LOW)), expected)


def test_one_product_of_several_layers() -> None:
    hidden = torch.randn(2, 3, 8)
    first, second = torch.nn.Linear(8, 4), torch.nn.Linear(8, 6)
    both = projected(hidden.to(LOW), (first.weight, first.bias), (second.weight, second.bias))
    assert both.dtype == LOW and near(both, torch.cat([first(hidden), second(hidden)], -1))


def test_norm_and_places() -> None:
    hidden = torch.randn(2, 3, 8)
    assert near(scaled(hidden, torch.full((8,), 2.0), 1e-6, LOW), 2 * F.rms_norm(hidden, (8,), eps=1e-6))
    part, angle = torch.randn(1, 1, 2, 4), torch.tensor([[0.0], [torch.pi / 2]])
    there = turned(part, angle.cos().expand(2, 4), angle.sin().expand(2, 4))
    torch.testing.assert_close(there[0, 0, 0], part[0, 0, 0])
    torch.testing.assert_close(there[0, 0, 1], torch.cat([-part[0, 0, 1, 2:], part[0, 0, 1, :2]]), atol=1e-6, rtol=0)
