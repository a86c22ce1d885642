"""SigLIP vision tower that takes slices of any size ("NaViT"), as in MiniCPM-V 2.5 and 2.6.

Pre-norm transformer over 14 x 14 patches; parameter names are those of the official checkpoints.
Architecture: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training"; variable resolution: Dehghani
et al. 2023, "Patch n' Pack".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig


class VisionConfig(PreTrainedConfig):
    """Shape of the tower; field names as in the `vision_config` of published checkpoints."""

    model_type = "siglip"

    hidden_size: int = 1152
    image_size: int = 980
    intermediate_size: int = 4304
    num_attention_heads: int = 16
    num_hidden_layers: int = 27
    num_channels: int = 3
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    attention_dropout: float = 0.0
    hidden_act: str = "gelu_pytorch_tanh"
    initializer_range: float = 0.02

    @property
    def table_side(self) -> int:
        """Rows and columns of the learned position table."""
        return self.image_size // self.patch_size


class VisionEmbeddings(nn.Module):
    """Patches to vectors, plus the position the caller names for each."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(
            config.num_channels, config.hidden_size, kernel_size=config.patch_size, stride=config.patch_size
        )
        self.position_embedding = nn.Embedding(config.table_side**2, config.hidden_size)

    def forward(self, pixel_values: Tensor, position_ids: Tensor) -> Tensor:
        """(B, 3, P, N*P) patches side by side and (B or 1, N) ids to (B, N, hidden)."""
        patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        return patches + self.position_embedding(position_ids)


class VisionAttention(nn.Module):
    """Multi-head self-attention over all patches of a slice."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.dropout = config.attention_dropout
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, hidden) to the same shape."""
        query, key, value = (
            proj(hidden_states).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class VisionMLP(nn.Module):
    """Two linear layers around a tanh-approximated GELU."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, hidden) to the same shape."""
        return self.fc2(F.gelu(self.fc1(hidden_states), approximate="tanh"))


class VisionLayer(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = VisionAttention(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMLP(config)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, hidden) to the same shape."""
        hidden_states = hidden_states + self.self_attn(self.layer_norm1(hidden_states))
        return hidden_states + self.mlp(self.layer_norm2(hidden_states))


class VisionEncoder(nn.Module):
    """The stack of blocks."""

    def __init__(self, config: VisionConfig, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(num_layers))
        self.gradient_checkpointing = False

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(B, N, hidden) to the same shape."""
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                hidden_states = torch.utils.checkpoint.checkpoint(layer, hidden_states, use_reentrant=False)
            else:
                hidden_states = layer(hidden_states)
        return hidden_states


class VisionTransformer(nn.Module):
    """The tower.

    Args:
        config: its shape.
        drop_last_layer: leave out the last block, as some checkpoints do.
    """

    def __init__(self, config: VisionConfig, drop_last_layer: bool = False) -> None:
        super().__init__()
        self.config = config
        self.embeddings = VisionEmbeddings(config)
        self.encoder = VisionEncoder(config, config.num_hidden_layers - drop_last_layer)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, pixel_values: Tensor, position_ids: Tensor) -> Tensor:
        """Encode slices of one size.

        Args:
            pixel_values: (B, 3, P, N*P), normalised; the N patches of a slice side by side.
            position_ids: int64 (B or 1, N), rows of the position table.

        Returns:
            (B, N, hidden_size).
        """
        return self.post_layernorm(self.encoder(self.embeddings(pixel_values, position_ids)))
