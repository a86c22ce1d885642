"""The language model's blocks as plain formulas in a low precision, for training: on a CPU a quarter faster than as
modules.

Attention is written out, so that the compiler makes one pass of scaling, mask and softmax; projections that read the
same input are one product; what the queries of a group share is multiplied once. Everything is computed in the type of
what comes in, `precision.low` for one; only what is added up over the layers stays float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Block = Callable[..., tuple[Tensor, Tensor, Tensor]]


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention of grouped queries.

    Args:
        query: (B, heads, L, size). key, value: (B, groups, L, size). mask: added to the scores, (L, L).

    Returns:
        (B, L, heads * size).
    """
    batch, heads, length, size = query.shape
    groups = key.shape[1]
    query, key, value = (part.reshape(batch * groups, -1, size) for part in (query, key, value))
    scores = torch.bmm(query, key.transpose(1, 2)).view(batch * groups, heads // groups, length, length).float()
    scores = scores * size**-0.5
    shares = torch.softmax(scores if mask is None else scores + mask, -1).to(value.dtype)
    seen = torch.bmm(shares.view(batch * groups, -1, length), value)
    return seen.view(batch, heads, length, size).transpose(1, 2).reshape(batch, length, heads * size)


def projected(hidden: Tensor, *parts: tuple[Tensor, Tensor | None]) -> Tensor:
    """One product of what several linear layers, (weight, bias) each, make of the same input."""
    weight = torch.cat([weight for weight, _ in parts]).to(hidden.dtype)
    biases = [bias for _, bias in parts if bias is not None]
    return F.linear(hidden, weight, torch.cat(biases).to(hidden.dtype) if biases else None)


def scaled(hidden: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Root mean square norm, computed in float32, as `dtype`."""
    wide = hidden.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight).to(dtype)


def turned(part: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary position code on (B, heads, L, size)."""
    left, right = part.chunk(2, -1)
    return part * cosines + torch.cat([-right, left], -1) * sines


def language_block(
    hidden: Tensor, layer: Any, cosines: Tensor, sines: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """A `Qwen2DecoderLayer` on float32 (B, L, width), computed in the type of `cosines`.

    Args:
        cosines, sines: (L, size). mask: (L, L).

    Returns:
        Its output, and the queries (B, heads, L, size) and keys (B, groups, L, size) of its attention, in that type.
    """
    attention, mlp, size, dtype = layer.self_attn, layer.mlp, layer.self_attn.head_dim, cosines.dtype
    query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
    normed = scaled(hidden, layer.input_layernorm.weight, layer.input_layernorm.variance_epsilon, dtype)
    made = projected(normed, *((part.weight, part.bias) for part in (query, key, value)))
    made = made.unflatten(-1, (-1, size)).transpose(1, 2)
    heads, groups = query.out_features // size, key.out_features // size
    queries, keys = (turned(part, cosines, sines) for part in made[:, : heads + groups].split([heads, groups], 1))
    seen = attend(queries, keys, made[:, heads + groups :], mask)
    hidden = hidden + projected(seen, (attention.o_proj.weight, None))
    after = layer.post_attention_layernorm
    normed = scaled(hidden, after.weight, after.variance_epsilon, dtype)
    gate, up = projected(normed, (mlp.gate_proj.weight, None), (mlp.up_proj.weight, None)).chunk(2, -1)
    return hidden + projected(F.silu(gate) * up, (mlp.down_proj.weight, None)), queries, keys
