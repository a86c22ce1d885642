"""Resampler: a fixed number of learned queries reads a slice's patches (one cross-attention layer).

Perceiver-style resampling with 2-D sin-cos positions on the keys: Bai et al. 2023 (Qwen-VL); positions as in
He et al. 2021 (MAE). Parameter names are those of the official checkpoints.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def sincos_2d(rows: int, cols: int, dim: int) -> np.ndarray:
    """2-D sin-cos position code: the first half of the channels codes the column, the second the row.

    Each half is [sin, cos] over the frequencies 10000^(-k / (dim/4)), k < dim/4.

    Returns:
        float32 (rows, cols, dim).
    """
    quarter = dim // 4
    frequencies = 1.0 / 10000 ** (np.arange(quarter, dtype=np.float32) / np.float32(quarter))

    def code(count: int) -> np.ndarray:
        angles = np.arange(count, dtype=np.float32)[:, None] * frequencies[None, :].astype(np.float32)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)

    by_col = np.broadcast_to(code(cols)[None, :, :], (rows, cols, dim // 2))
    by_row = np.broadcast_to(code(rows)[:, None, :], (rows, cols, dim // 2))
    return np.concatenate([by_col, by_row], axis=-1).astype(np.float32)


class CrossAttention(nn.Module):
    """Multi-head attention with the packed input projection of `torch.nn.MultiheadAttention`."""

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dim, embed_dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * embed_dim))
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, Q, D), (B, N, D), (B, N, D) to (B, Q, D)."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        query, key, value = (
            F.linear(states, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for states, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        return self.out_proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Resampler(nn.Module):
    """Patches of a slice to `num_queries` vectors of the language model's width.

    Args:
        num_queries: vectors per slice.
        embed_dim: width of the language model.
        num_heads: attention heads.
        kv_dim: width of the vision tower.
    """

    def __init__(self, num_queries: int, embed_dim: int, num_heads: int, kv_dim: int) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.query = nn.Parameter(torch.empty(num_queries, embed_dim))
        self.kv_proj = nn.Linear(kv_dim, embed_dim, bias=False) if kv_dim != embed_dim else nn.Identity()
        self.attn = CrossAttention(embed_dim, num_heads)
        self.ln_q = nn.LayerNorm(embed_dim, eps=1e-6)
        self.ln_kv = nn.LayerNorm(embed_dim, eps=1e-6)
        self.ln_post = nn.LayerNorm(embed_dim, eps=1e-6)
        self.proj = nn.Parameter(torch.empty(embed_dim, embed_dim))

    def queries(self) -> Tensor:
        """What asks the patches, (num_queries, embed_dim)."""
        return self.ln_q(self.query)

    def positions(self, rows: int, cols: int, like: Tensor) -> Tensor:
        """The keys' position code, (rows * cols, embed_dim), in the dtype and on the device of `like`.

        Computed when needed: a non-persistent buffer would come out of `from_pretrained` uninitialised.
        """
        table = torch.from_numpy(sincos_2d(rows, cols, self.embed_dim)).flatten(0, 1)
        return table.to(device=like.device, dtype=like.dtype)

    def forward(self, hidden_states: Tensor, tgt_size: tuple[int, int]) -> Tensor:
        """Resample slices of one size.

        Args:
            hidden_states: (B, rows * cols, kv_dim), the tower's output.
            tgt_size: (rows, cols) in patches.

        Returns:
            (B, num_queries, embed_dim).
        """
        value = self.ln_kv(self.kv_proj(hidden_states))
        key = value + self.positions(*tgt_size, like=value)
        query = self.queries().expand(len(hidden_states), -1, -1)
        return self.ln_post(self.attn(query, key, value)) @ self.proj


class GridResampler(Resampler):
    """A resampler whose queries have places on a square grid, their codes stored as `pos_embed`.

    The keys' codes are computed for the size of each slice, as in MiniCPM-V 2.0.
    """

    def __init__(self, num_queries: int, embed_dim: int, num_heads: int, kv_dim: int) -> None:
        super().__init__(num_queries, embed_dim, num_heads, kv_dim)
        self.pos_embed = nn.Parameter(torch.empty(num_queries, embed_dim), requires_grad=False)

    def queries(self) -> Tensor:
        """What asks the patches, (num_queries, embed_dim)."""
        return self.ln_q(self.query) + self.pos_embed


class StretchingResampler(GridResampler):
    """The keys' codes are the queries' own, stretched to the patches, as in MiniCPM-V 1.0 and OmniLMM-12B."""

    def positions(self, rows: int, cols: int, like: Tensor) -> Tensor:
        """The keys' position code, (rows * cols, embed_dim), in the dtype and on the device of `like`."""
        side = math.isqrt(len(self.pos_embed))
        grid = self.pos_embed.float().unflatten(0, (side, side)).permute(2, 0, 1)[None]
        stretched = F.interpolate(grid, size=(rows, cols), mode="bicubic", align_corners=False)
        return stretched[0].flatten(1).T.to(like)
