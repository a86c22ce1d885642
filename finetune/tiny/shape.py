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
QUERIES = 36
# Channels of the tower that carry where a patch is. The resampler adds places to its keys only, so that without them
# the language model hardly learns where its features come from: no counting, no reading, no sides.
PLACE_CHANNELS = 16
# Half turns that their sines and cosines make over a picture's side.
HALF_TURNS = (1, 2, 4, 8)
# In the resampler's input the places weigh twice as much as what is seen; the tower's blocks add to all other channels
# and make them this much larger than those.
PLACE_GAIN = 20.0
# How far to the left and right of its place a query's heads look, as a share of the distance between two queries.
APART = 0.25


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
    """Give the first `PLACE_CHANNELS` channels codes of a patch's row and column; no block learns to write there."""
    side = tower.config.table_side
    code = place_code((torch.arange(side) + 0.5) / side)
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


def place_code(places: Tensor) -> Tensor:
    """Codes of places along an axis, as shares of the picture's side: sines, then cosines, (n, PLACE_CHANNELS / 2)."""
    turns = places[:, None] * torch.tensor(HALF_TURNS) * math.pi
    return torch.cat([turns.sin(), turns.cos()], -1) * 2**0.5


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


def start_resampler(resampler: Resampler, gain: float = PLACE_GAIN) -> None:
    """Each query reads the patches around its own place on a square grid over the whole picture, whatever its shape.

    Not by the keys' own codes: these count patches from the top left corner, and a query cannot know how many there
    are, so that wide and tall pictures would have patches that no query reads. The places that the tower carries are
    shares of the picture's side.

    Args:
        gain: by how much what is seen outweighs the places in the tower's features, from `place_gain`.
    """
    width, heads = resampler.embed_dim, resampler.attn.num_heads
    side, size = math.isqrt(len(resampler.query)), width // heads
    # The channels in which the keys' own codes are all but constant.
    quiet = torch.arange(width // 4 - PLACE_CHANNELS, width // 4)
    others = torch.tensor([channel for channel in range(width) if channel not in quiet])
    places = place_code((torch.arange(side) + 0.5) / side)
    grid = torch.cat([places[:, None].expand(-1, side, -1), places[None].expand(side, -1, -1)], -1)
    kv_proj = resampler.kv_proj.weight
    assert isinstance(kv_proj, Tensor), "the places need channels of their own"
    query, key = torch.randn(2, width, width) * 0.02
    for head in range(heads):
        rows = slice(head * size, head * size + PLACE_CHANNELS)
        query[rows], key[rows] = 0, 0
        query[rows, quiet] = _moved(APART / side * (2 * head / max(1, heads - 1) - 1) if heads > 1 else 0.0)
        key[rows, quiet] = torch.eye(PLACE_CHANNELS)
    with torch.no_grad():
        resampler.query.normal_(std=0.02)
        resampler.query[:, quiet] = grid.flatten(0, 1)
        value = nn.init.orthogonal_(torch.empty(width, width))
        resampler.attn.in_proj_weight.copy_(torch.cat([query, key, value]))
        resampler.attn.in_proj_bias.zero_()
        nn.init.orthogonal_(resampler.attn.out_proj.weight)
        resampler.attn.out_proj.bias.zero_()
        nn.init.orthogonal_(resampler.proj)
        for norm in (resampler.ln_q, resampler.ln_kv, resampler.ln_post):
            norm.weight.fill_(1)
            norm.bias.zero_()
        kv_proj.zero_()
        seen = kv_proj.shape[1] - PLACE_CHANNELS
        kv_proj[others, PLACE_CHANNELS:] = nn.init.orthogonal_(torch.empty(len(others), seen))
        # Mixed over more channels, what is seen gets smaller in each.
        kv_proj[quiet, :PLACE_CHANNELS] = torch.eye(PLACE_CHANNELS) * gain * (seen / len(others)) ** 0.5


def _moved(share: float) -> Tensor:
    """What turns the codes of a place into those of one that lies a share of the side further right."""
    turn = torch.eye(PLACE_CHANNELS)
    for number, turns in enumerate(HALF_TURNS):
        sine, cosine = PLACE_CHANNELS // 2 + number, PLACE_CHANNELS // 2 + len(HALF_TURNS) + number
        angle = math.pi * turns * share
        turn[sine, sine] = turn[cosine, cosine] = math.cos(angle)
        turn[sine, cosine], turn[cosine, sine] = math.sin(angle), -math.sin(angle)
    return turn


def place_gain(features: Tensor) -> float:
    """What lifts the places in features (B, N, width) to twice the size of what is seen."""
    sizes = [part.float().square().mean().sqrt().item() for part in features.split_with_sizes(
        [PLACE_CHANNELS, features.shape[-1] - PLACE_CHANNELS], -1)]  # fmt: skip
    return 2 * sizes[1] / sizes[0]


def new_tower() -> VisionTransformer:
    """A tower of the embedded model's size, untrained."""
    tower = VisionTransformer(VisionConfig(**VISION))
    start_tower(tower)
    return tower
