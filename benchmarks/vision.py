"""Slices per second of the tower and the resampler, as the application runs them and in the straightforward form.

The straightforward form is all slices in one batch, padded to the longest, an additive mask, and attention written out
with its softmax in fp32. `equal`: the 10 slices of a picture of 1344 x 1344 pixels, each of 32 x 32 patches; `mixed`:
seven slices of a photograph's shape and three small pictures. `ratio` is our rate over the other one, `difference` the
largest difference between their features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from app.engine.loader import load_model
from app.errors import SettingsError
from app.modeling.minicpmv import MiniCPMVModel
from app.modeling.positions import grid_position_ids
from app.modeling.siglip import VisionTransformer
from app.modeling.vision import Size
from benchmarks.options import Cases, Options, median
from benchmarks.timing import in_turn, ratio

REPEATS = 3
SIZES: dict[str, list[Size]] = {
    "equal": [(32, 32)] * 10,
    "mixed": [(37, 28), *[(28, 36)] * 6, (12, 12), (15, 20), (24, 24)],
}
SMALL: dict[str, list[Size]] = {"equal": [(4, 4)] * 3, "mixed": [(5, 4), (4, 4), (2, 3)]}


def run(options: Options) -> Cases:
    """Both forms on the same slices, in turn.

    Raises:
        SettingsError: the model's tower does not take slices of any size, each on its own.
    """
    model = load_model(options.settings(), lambda fraction, detail: None).model
    sizes_of = SMALL if options.small else SIZES
    if not _comparable(model, sizes_of["mixed"]):
        raise SettingsError(
            f"--model: got {type(model).__name__}, whose tower sees slices otherwise; allowed is a MiniCPM-V 2.6."
        )
    return {name: _measure(model, sizes, options.repeats) for name, sizes in sizes_of.items()}


def _comparable(model: Any, sizes: Sequence[Size]) -> bool:
    own = isinstance(model, MiniCPMVModel) and isinstance(model.vpm, VisionTransformer)
    return own and model.vision_context(sizes) is None


def _measure(model: Any, sizes: Sequence[Size], repeats: int) -> dict[str, float]:
    patch = model.config.vision_config.patch_size
    pixels = [torch.rand(3, patch, rows * columns * patch) * 2 - 1 for rows, columns in sizes]
    made: dict[str, Tensor] = {}
    with torch.inference_mode():
        seconds = in_turn(
            {
                "ours": lambda: made.update(ours=model.encode_vision(pixels, sizes)),
                "padded": lambda: made.update(padded=padded(model, pixels, sizes)),
            },
            repeats,
        )
    return {
        "slices_per_s": median([len(sizes) / spent for spent in seconds["ours"]], 2),
        "padded_slices_per_s": median([len(sizes) / spent for spent in seconds["padded"]], 2),
        "ratio": ratio(seconds["padded"], seconds["ours"]),
        "difference": float((made["ours"].float() - made["padded"].float()).abs().max()),
        "slices": len(sizes),
        "patches": sum(rows * columns for rows, columns in sizes),
    }


def padded(model: Any, pixel_values: Sequence[Tensor], sizes: Sequence[Size]) -> Tensor:
    """What `MiniCPMVModel.encode_vision` gives, from one batch."""
    tower, config = model.vpm, model.config.vision_config
    weight = tower.embeddings.patch_embedding.weight
    counts = [rows * columns for rows, columns in sizes]
    longest = max(counts)
    pixels = weight.new_zeros(len(sizes), 3, config.patch_size, longest * config.patch_size)
    positions = torch.zeros(len(sizes), longest, dtype=torch.int64, device=weight.device)
    mask = weight.new_zeros(len(sizes), 1, 1, longest)
    for index, (piece, size, count) in enumerate(zip(pixel_values, sizes, counts, strict=True)):
        pixels[index, ..., : piece.shape[-1]] = piece.to(weight)
        positions[index, :count] = grid_position_ids(*size, config.table_side)
        mask[index, ..., count:] = torch.finfo(mask.dtype).min
    hidden = tower.embeddings(pixels, positions)
    for layer in tower.encoder.layers:
        hidden = hidden + _self_attention(layer.self_attn, layer.layer_norm1(hidden), mask)
        hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
    return _resample(model.resampler, tower.post_layernorm(hidden), sizes, mask)


def _self_attention(attention: Any, hidden: Tensor, mask: Tensor) -> Tensor:
    query, key, value = (project(hidden) for project in (attention.q_proj, attention.k_proj, attention.v_proj))
    return attention.out_proj(_attend(query, key, value, attention.num_heads, mask))


def _resample(resampler: Any, hidden: Tensor, sizes: Sequence[Size], mask: Tensor) -> Tensor:
    value = resampler.ln_kv(resampler.kv_proj(hidden))
    key = value.clone()
    for index, (rows, columns) in enumerate(sizes):
        key[index, : rows * columns] += resampler.positions(rows, columns, like=value)
    inner = resampler.attn
    states = (resampler.queries().expand(len(hidden), -1, -1), key, value)
    parts = zip(states, inner.in_proj_weight.chunk(3), inner.in_proj_bias.chunk(3), strict=True)
    query, key, value = (torch.nn.functional.linear(state, weight, bias) for state, weight, bias in parts)
    attended = inner.out_proj(_attend(query, key, value, inner.num_heads, mask))
    return resampler.ln_post(attended) @ resampler.proj


def _attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor) -> Tensor:
    """(B, Q, D), twice (B, N, D) and a mask (B, 1, 1, N) to add, to (B, Q, D)."""
    query, key, value = (states.unflatten(-1, (heads, -1)).transpose(1, 2) for states in (query, key, value))
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + mask
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    return (weights @ value).transpose(1, 2).flatten(2)
