"""The sizes of the embedded model, and how its parts start.

Starts after Trockman and Kolter 2023, "Mimetic Initialization of Self-Attention Layers": query-key products near
the identity, value-projection products near its negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from app.modeling.resampler import Resampler, sincos_2d
from app.modeling.siglip import VisionAttention, VisionConfig, VisionLayer, VisionTransformer

VISION = {
    "hidden_size": 192,
    "image_size": 336,
    "intermediate_size": 768,
    "model_type": "siglip",
    "num_attention_heads": 3,
    "num_hidden_layers": 6,
    "patch_size": 14,
}
SLICE_SIDE = 168
QUERIES = 64
# Channels of the tower that carry where a patch is. The resampler adds places to its keys only, so that without them
# the language model hardly learns where its features come from: no counting, no reading, no sides.
PLACE_CHANNELS = 16
# By how much the resampler lifts them: what the blocks add grows tenfold on its way through the tower, they do not.
PLACE_GAIN = 20.0


def start_tower(tower: VisionTransformer) -> None:
    """Positions as sin-cos codes, attention as mimetic matrices."""
    side = tower.config.table_side
    # The table is finer than the twelve patches of a slice's side: its step is that much smaller.
    table = torch.from_numpy(stretched_code(side, side, tower.config.hidden_size, 30 / side))
    with torch.no_grad():
        tower.embeddings.position_embedding.weight.copy_(table.flatten(0, 1) * 0.7)
        patches = tower.embeddings.patch_embedding
        patches.weight.normal_(std=patches.weight[0].numel() ** -0.5)
        nn.init.zeros_(cast(Tensor, patches.bias))
        for layer in cast(Iterable[VisionLayer], tower.encoder.layers):
            start_attention(layer.self_attn)
            for linear in (layer.mlp.fc1, layer.mlp.fc2):
                linear.weight.normal_(std=linear.in_features**-0.5)
                linear.bias.zero_()
        keep_places(tower)


def keep_places(tower: VisionTransformer) -> None:
    """Give the first `PLACE_CHANNELS` channels codes of a patch's row and column; no block ever learns to write there.

    Eight channels for each axis: sine and cosine of 1, 2, 4 and 8 half turns over the picture's side.
    """
    side = tower.config.table_side
    turns = (torch.arange(side) + 0.5)[:, None] / side * torch.tensor([1, 2, 4, 8]) * math.pi
    code = torch.cat([turns.sin(), turns.cos()], -1) * 2**0.5
    rows, cols = code[:, None].expand(-1, side, -1), code[None].expand(side, -1, -1)
    kept = slice(PLACE_CHANNELS)
    with torch.no_grad():
        tower.embeddings.position_embedding.weight[:, kept] = torch.cat([rows, cols], -1).flatten(0, 1)
        layers = cast(Iterable[VisionLayer], tower.encoder.layers)
        writers: list[nn.Module] = [part for layer in layers for part in (layer.self_attn.out_proj, layer.mlp.fc2)]
        for writer in (tower.embeddings.patch_embedding, *writers):
            for parameter in writer.parameters():
                parameter[kept] = 0
                parameter.register_hook(_without_places)


def _without_places(gradient: Tensor) -> Tensor:
    """The gradient of what writes into all channels, none for those of the places."""
    held = gradient.clone()
    held[:PLACE_CHANNELS] = 0
    return held


def stretched_code(rows: int, cols: int, dim: int, step: float) -> np.ndarray:
    """`sincos_2d` sampled every `step` places, rounded to whole ones: float32 (rows, cols, dim)."""
    fine = sincos_2d(math.ceil(rows * step) + 1, math.ceil(cols * step) + 1, dim)
    pick = lambda count: (torch.arange(count) * step).round().long().numpy()  # noqa: E731
    return fine[pick(rows)][:, pick(cols)]


def start_attention(attention: VisionAttention) -> None:
    """Query-key products near 0.7 of the identity, value-projection products near -0.4 of it."""
    width, heads = attention.q_proj.in_features, attention.num_heads
    size = width // heads
    for head in range(heads):
        left, scale, right = torch.linalg.svd(0.7 * torch.randn(width, width) / width**0.5 + 0.7 * torch.eye(width))
        root, rows = scale[:size].sqrt(), slice(head * size, (head + 1) * size)
        attention.q_proj.weight[rows] = (left[:, :size] * root).T
        attention.k_proj.weight[rows] = right[:size] * root[:, None]
    left, scale, right = torch.linalg.svd(0.4 * torch.randn(width, width) / width**0.5 - 0.4 * torch.eye(width))
    attention.v_proj.weight.copy_(right * scale.sqrt()[:, None])
    attention.out_proj.weight.copy_(left * scale.sqrt())
    for linear in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
        linear.bias.zero_()


def start_resampler(resampler: Resampler, side: int = SLICE_SIDE // 14) -> None:
    """Each query reads the patches around its own place on a square grid of queries.

    Args:
        side: patches along the side of the square slice whose places the queries get.
    """
    width, heads = resampler.embed_dim, resampler.attn.num_heads
    count = math.isqrt(len(resampler.query))
    places = (torch.arange(count) + 0.5) * side / count - 0.5
    with torch.no_grad():
        resampler.query.copy_(code_at(places, width))
        # Every head gets channels of all frequencies, of rows and of columns.
        order = torch.arange(width).view(-1, heads).t().reshape(-1)
        identity = torch.eye(width)[order] * 10**0.5
        resampler.attn.in_proj_weight.copy_(torch.cat([identity, identity, torch.eye(width) * 4]))
        resampler.attn.in_proj_bias.zero_()
        resampler.attn.out_proj.weight.copy_(torch.eye(width))
        resampler.attn.out_proj.bias.zero_()
        # Positions outweigh what the patches show in the keys; the values, four times as large, make up for it.
        resampler.ln_kv.weight.fill_(0.25)
        for norm in (resampler.ln_q, resampler.ln_post):
            norm.weight.fill_(1)
        for norm in (resampler.ln_q, resampler.ln_kv, resampler.ln_post):
            norm.bias.zero_()
        resampler.proj.normal_(std=width**-0.5)
        if isinstance(resampler.kv_proj, nn.Linear):
            resampler.kv_proj.weight.normal_(std=resampler.kv_proj.in_features**-0.5)
            resampler.kv_proj.weight[:, :PLACE_CHANNELS] *= PLACE_GAIN


def code_at(places: Tensor, dim: int) -> Tensor:
    """The code of `sincos_2d` at a square of places that need not be whole numbers: (places ** 2, dim)."""
    frequencies = 1 / 10000 ** (torch.arange(dim // 4, dtype=torch.float32) / (dim // 4))
    angles = places[:, None] * frequencies
    axis = torch.cat([angles.sin(), angles.cos()], -1)
    count = len(places)
    by_col = axis[None].expand(count, -1, -1)
    by_row = axis[:, None].expand(-1, count, -1)
    return torch.cat([by_col, by_row], -1).flatten(0, 1)


def new_tower() -> VisionTransformer:
    """A tower of the embedded model's size, untrained."""
    tower = VisionTransformer(VisionConfig(**VISION))
    start_tower(tower)
    return tower
