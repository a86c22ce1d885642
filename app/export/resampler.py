"""The resampler: its tensors under llama.cpp's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from app.export.container import Tensor
from app.export.members import Member
from app.export.vision import TABLE
from app.export.weights import Weights
from app.modeling.resampler import sincos_2d

LN_EPS = 1e-6


def tensors(weights: Weights, config: Any, member: Member) -> list[Tensor]:
    """The resampler's tensors.

    Raises:
        CheckpointError: one is missing.
    """
    width, read = config.hidden_size, weights.read
    square, queries = (width, width), weights.shape("resampler.query")
    # llama.cpp scales features like words where the model scales words alone.
    scale = config.scale_emb if member.scaled else 1.0
    found = [
        Tensor("resampler.proj.weight", square, lambda: read("resampler.proj").T / scale),
        Tensor("resampler.kv.weight", (width, config.vision_config.hidden_size), _keys(weights, width)),
        # Not looked at by llama.cpp of today, which computes it, but asked for.
        Tensor(
            "resampler.pos_embed_k", (TABLE * TABLE, width), lambda: sincos_2d(TABLE, TABLE, width).reshape(-1, width)
        ),
    ]
    for at, part in enumerate("qkv"):
        found += [
            Tensor(f"resampler.attn.{part}.weight", square, _third(weights, "resampler.attn.in_proj_weight", at)),
            Tensor(f"resampler.attn.{part}.bias", (width,), _third(weights, "resampler.attn.in_proj_bias", at)),
        ]
    for name, source in (("attn.out", "attn.out_proj"), ("ln_q", "ln_q"), ("ln_kv", "ln_kv"), ("ln_post", "ln_post")):
        for suffix in ("weight", "bias"):
            full = f"resampler.{source}.{suffix}"
            found.append(Tensor(f"resampler.{name}.{suffix}", weights.shape(full), _whole(weights, full)))
    found.append(Tensor("resampler.query", queries, _whole(weights, "resampler.query"), exact=True))
    return with_places(found, weights) if "resampler.pos_embed" in weights else found


def with_places(tensors: list[Tensor], weights: Weights) -> list[Tensor]:
    """The same function where queries have places (`pos_embed`) that llama.cpp does not know.

    The model asks with W (LN(query) + place). There are fewer queries than channels, so one matrix W' exists with
    W' LN(query') equal to that for any queries' that LN leaves independent: cosines, orthogonal and of mean 0.
    """

    def matrix() -> np.ndarray:
        cosines = _cosines(*weights.shape("resampler.query"))
        normed = cosines / np.sqrt(cosines.var(axis=1, keepdims=True) + LN_EPS)
        projected = _asked(weights) @ _third(weights, "resampler.attn.in_proj_weight", 0)().astype(np.float64).T
        return (np.linalg.pinv(normed) @ projected).T.astype(np.float32)

    width = weights.shape("resampler.query")[1]
    replaced = {
        "resampler.query": Tensor("resampler.query", weights.shape("resampler.query"),
                                  lambda: _cosines(*weights.shape("resampler.query")).astype(np.float32), exact=True),
        "resampler.ln_q.weight": Tensor("resampler.ln_q.weight", (width,), lambda: np.ones(width)),
        "resampler.ln_q.bias": Tensor("resampler.ln_q.bias", (width,), lambda: np.zeros(width)),
        "resampler.attn.q.weight": Tensor("resampler.attn.q.weight", (width, width), matrix),
    }  # fmt: skip
    return [replaced.get(tensor.name, tensor) for tensor in tensors]


def _asked(weights: Weights) -> np.ndarray:
    """LN(query) + place, float64 (queries, width)."""
    query = weights.read("resampler.query").astype(np.float64)
    normed = (query - query.mean(axis=1, keepdims=True)) / np.sqrt(query.var(axis=1, keepdims=True) + LN_EPS)
    shaped = normed * weights.read("resampler.ln_q.weight") + weights.read("resampler.ln_q.bias")
    return shaped + weights.read("resampler.pos_embed")


def _cosines(count: int, width: int) -> np.ndarray:
    """float64 (count, width): orthogonal rows of mean 0 and variance 1; count < width."""
    waves = np.arange(1, count + 1)[:, None] * (np.arange(width)[None, :] + 0.5)
    return np.sqrt(2) * np.cos(np.pi * waves / width)


def _keys(weights: Weights, width: int) -> Callable[[], np.ndarray]:
    """Tower to resampler; a checkpoint whose two widths are the same has none."""
    name = "resampler.kv_proj.weight"
    return lambda: weights.read(name) if name in weights else np.eye(width)


def _third(weights: Weights, name: str, at: int) -> Callable[[], np.ndarray]:
    return lambda: np.split(weights.read(name), 3)[at]


def _whole(weights: Weights, name: str) -> Callable[[], np.ndarray]:
    return lambda: weights.read(name)
