"""The language model: sizes and tensors under llama.cpp's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gguf import GGUFWriter

from app.errors import CheckpointError
from app.export.container import Tensor
from app.export.members import Member
from app.export.weights import Weights
from app.texts import Phrase

WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
IN_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def describe(writer: GGUFWriter, config: Mapping[str, Any], member: Member) -> None:
    """Add the sizes of a config.json."""
    heads = config["num_attention_heads"]
    writer.add_name(member.name)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if member.scaled:
        writer.add_embedding_scale(config["scale_emb"])
        writer.add_residual_scale(config["scale_depth"] / config["num_hidden_layers"] ** 0.5)
        writer.add_logit_scale(config["hidden_size"] / config["dim_model_base"])


def tensors(weights: Weights, config: Mapping[str, Any], member: Member) -> list[Tensor]:
    """The tensors to write.

    Raises:
        CheckpointError: one has a name that is not known.
    """
    return [_tensor(weights, name, config, member) for name in weights if name.startswith("llm.")]


def _tensor(weights: Weights, name: str, config: Mapping[str, Any], member: Member) -> Tensor:
    heads = config["num_attention_heads"]
    groups = {".q_proj.": heads, ".k_proj.": config.get("num_key_value_heads", heads)}
    rotated = next((count for part, count in groups.items() if part in name), 0) if member.interleaved_rope else 0

    def make() -> np.ndarray:
        values = weights.read(name)
        return interleave(values, rotated) if rotated else values

    sensitive = name.startswith(("llm.model.embed_tokens", "llm.lm_head"))
    return Tensor(_name(name), weights.shape(name), make, sensitive=sensitive)


def _name(name: str) -> str:
    base, _, suffix = name.removeprefix("llm.").rpartition(".")
    if base in WHOLE:
        return f"{WHOLE[base]}.{suffix}"
    _, _, rest = base.partition("model.layers.")
    number, _, part = rest.partition(".")
    if part not in IN_LAYER:
        raise CheckpointError(Phrase("weight_unknown", name=name))
    return f"blk.{number}.{IN_LAYER[part]}.{suffix}"


def interleave(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head in the order (0, n/2, 1, n/2 + 1, ...): llama.cpp turns neighbours where transformers turns
    the two halves of a head.

    Args:
        values: (heads * n, ...).
    """  # fmt: skip
    split = values.reshape(heads, 2, len(values) // heads // 2, *values.shape[1:])
    return split.swapaxes(1, 2).reshape(values.shape)
