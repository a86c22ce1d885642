"""The vision tower: sizes and tensors under llama.cpp's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter
from torch.nn import functional as F

from app.errors import CheckpointError
from app.export.container import Tensor
from app.export.members import Member
from app.export.weights import Weights
from app.modeling.positions import position_buckets
from app.texts import Phrase

TABLE = 70  # llama.cpp looks the patch i of n up in row floor(70 * i / n) of the table of positions, whatever its size
HEAD = 128  # width of the resampler's heads, which llama.cpp does not ask for
SIGLIP = {
    "embeddings.patch_embedding": "patch_embd",
    "embeddings.position_embedding": "position_embd",
    "post_layernorm": "post_ln",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
TIMM = {
    "patch_embed.proj": "patch_embd",
    "pos_embed": "position_embd",
    "norm": "post_ln",
    "norm1": "ln1",
    "norm2": "ln2",
    "attn.qkv": "attn_q attn_k attn_v",
    "attn.proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}


def describe(writer: GGUFWriter, config: Any, picture: Mapping[str, Any], weights: Weights, member: Member) -> None:
    """Add the sizes of the tower and how pictures are prepared.

    Args:
        config: the checkpoint's config, its `vision_config` filled in.
        picture: `size` of a slice in pixels, `mean` and `std` of its channels.

    Raises:
        CheckpointError: the resampler has heads of another width than llama.cpp takes.
    """
    if config.hidden_size % HEAD:
        raise CheckpointError(
            Phrase("hidden_size_odd", hidden_size=config.hidden_size, multiple=HEAD),
            Phrase("do_serve_otherwise"),
        )
    tower = config.vision_config
    writer.add_clip_has_vision_encoder(True)
    writer.add_bool("clip.has_text_encoder", False)
    writer.add_bool("clip.has_minicpmv_projector", True)
    writer.add_clip_projector_type("resampler")
    writer.add_int32("clip.minicpmv_version", member.layout)
    writer.add_uint32("clip.minicpmv_query_num", config.query_num)
    writer.add_vision_image_size(picture["size"])
    writer.add_vision_patch_size(tower.patch_size)
    writer.add_vision_embedding_length(tower.hidden_size)
    writer.add_vision_feed_forward_length(tower.intermediate_size)
    writer.add_vision_projection_dim(0)
    writer.add_vision_head_count(tower.num_attention_heads)
    writer.add_vision_block_count(_blocks(config, weights, member))
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean(list(picture["mean"]))
    writer.add_vision_image_std(list(picture["std"]))
    # The tanh approximation: what 2.5 and 2.6 were trained with. 2.0 has the exact one, which llama.cpp has not.
    writer.add_vision_use_gelu(True)


def tensors(weights: Weights, config: Any, size: int, member: Member) -> list[Tensor]:
    """The tower's tensors.

    Args:
        size: side of a slice in pixels.

    Raises:
        CheckpointError: one has a name that is not known.
    """
    blocks = _blocks(config, weights, member)
    found: list[Tensor] = []
    for name in weights:
        if not name.startswith("vpm."):
            continue
        number, part = _split(name, member)
        if number is not None and number >= blocks:
            continue  # the last block, which the model leaves out
        targets = _targets(name, number, part, member)
        if targets == ["v.position_embd.weight"]:
            found.append(_positions(weights, name, config, size, member))
            continue
        shape = weights.shape(name)
        for at, target in enumerate(targets):
            third = (shape[0] // len(targets), *shape[1:])
            found.append(Tensor(target, third, _slice(weights, name, at, len(targets))))
    return found


def _blocks(config: Any, weights: Weights, member: Member) -> int:
    """Blocks that the model runs."""
    held = {number for name in weights if name.startswith("vpm.") and (number := _split(name, member)[0]) is not None}
    known = config.vision_config.num_hidden_layers - bool(config.drop_vision_last_layer)
    if len(held) < known:
        raise CheckpointError(Phrase("tower_blocks", count=len(held), known=known))
    return known


def _split(name: str, member: Member) -> tuple[int | None, str]:
    """The block and the part that a weight belongs to."""
    rest = name.removeprefix("vpm.")
    prefix = "blocks." if member.timm else "encoder.layers."
    if not rest.startswith(prefix):
        return None, rest
    number, _, part = rest.removeprefix(prefix).partition(".")
    return int(number), part


def _targets(name: str, number: int | None, part: str, member: Member) -> list[str]:
    names = TIMM if member.timm else SIGLIP
    base, suffix = (part, "weight") if part in names else (part.rpartition(".")[0], part.rpartition(".")[2])
    if base not in names:
        raise CheckpointError(Phrase("tower_weight_unknown", name=name))
    prefix = "v." if number is None else f"v.blk.{number}."
    return [f"{prefix}{target}.{suffix}" for target in names[base].split()]


def _slice(weights: Weights, name: str, at: int, parts: int) -> Callable[[], np.ndarray]:
    return lambda: np.split(weights.read(name), parts)[at] if parts > 1 else weights.read(name)


def _positions(weights: Weights, name: str, config: Any, size: int, member: Member) -> Tensor:
    """The table of positions in the size that llama.cpp reads."""
    *_, count, width = weights.shape(name)
    side = round(count**0.5)

    def make() -> np.ndarray:
        table = torch.from_numpy(weights.read(name)).reshape(side, side, width)
        if side == TABLE:
            return table.reshape(-1, width).numpy()
        rows = stretch(side, size // config.vision_config.patch_size, smooth=member.timm)
        return torch.einsum("ai,bj,ijd->abd", rows, rows, table).reshape(-1, width).numpy()

    return Tensor("v.position_embd.weight", (TABLE * TABLE, width), make, exact=True)


def stretch(side: int, usual: int, smooth: bool) -> torch.Tensor:
    """What each of the `TABLE` rows is made of, (TABLE, side).

    Of all slices that look up a row, the one decides whose number of patches is nearest to the usual one: that one's
    positions are exact.

    Args:
        side: rows of the checkpoint's table.
        usual: patches along a side of a square slice.
        smooth: the checkpoint's table is resampled to the slice, not looked up.
    """
    chosen: dict[int, torch.Tensor] = {}
    for count in sorted(range(1, TABLE + 1), key=lambda count: abs(count - usual)):
        if smooth:
            # Each unit vector as a picture of its own; pictures of one column come out wrong.
            units = torch.eye(side)[:, None, :, None].repeat(1, 1, 1, 4)
            rows = F.interpolate(units, size=(count, 4), mode="bicubic", antialias=True)[:, 0, :, 0].T
        else:
            rows = F.one_hot(position_buckets(count, side), side).float()
        for place in range(count):
            chosen.setdefault(TABLE * place // count, rows[place])
    return torch.stack([chosen[row] for row in range(TABLE)])
