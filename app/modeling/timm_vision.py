"""Vision towers whose weights carry the names of the timm library, as in MiniCPM-V 1.0, 2.0 and OmniLMM-12B.

SigLIP: Zhai et al. 2023, pre-norm blocks. EVA02-E: Fang et al. 2023, the same parts with the norm after each
branch, a class token and no bias on the keys. Both read pictures of any size: the learned grid of positions is
resampled to the picture's. Both use the exact GELU, not its tanh approximation.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig


class TimmVisionConfig(PreTrainedConfig):
    """Shape of a tower; the defaults are `vit_so400m_patch14_siglip_384`.

    `num_hidden_layers` counts the blocks of the whole tower, of which the models leave out the last. `known` are
    shapes by their width, for published configs tell nothing of the tower: the published one, then the small
    likeness in test checkpoints. The number of heads shows in no weight.
    """

    model_type = "timm_siglip"
    known: ClassVar[tuple[dict[str, int], ...]] = (
        {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16, "intermediate_size": 4304},
        {"hidden_size": 72, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 269},
    )

    hidden_size: int = 1152
    num_hidden_layers: int = 27
    num_attention_heads: int = 16
    intermediate_size: int = 4304
    patch_size: int = 14
    table_side: int = 27
    num_channels: int = 3
    layer_norm_eps: float = 1e-6


class EvaVisionConfig(TimmVisionConfig):
    """The defaults are `eva02_enormous_patch14_clip_224`."""

    model_type = "timm_eva02"
    known: ClassVar[tuple[dict[str, int], ...]] = (
        {"hidden_size": 1792, "num_hidden_layers": 64, "num_attention_heads": 16, "intermediate_size": 15360},
        {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 274},
    )

    hidden_size: int = 1792
    num_hidden_layers: int = 64
    intermediate_size: int = 15360
    table_side: int = 16


class PatchEmbed(nn.Module):
    """Pictures to patch vectors."""

    def __init__(self, config: TimmVisionConfig) -> None:
        super().__init__()
        size = config.patch_size
        self.proj = nn.Conv2d(config.num_channels, config.hidden_size, kernel_size=size, stride=size)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, H/P * W/P, D), row by row."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with one projection for queries, keys and values, in this order."""

    def __init__(self, config: TimmVisionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def project(self, hidden: Tensor) -> Tensor:
        """(B, N, D) to (B, N, 3 * D)."""
        return self.qkv(hidden)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, N, D) to the same shape."""
        query, key, value = (
            states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for states in self.project(hidden).chunk(3, -1)
        )
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class EvaAttention(Attention):
    """The same with a bias on queries and values alone."""

    def __init__(self, config: TimmVisionConfig) -> None:
        super().__init__(config)
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(config.hidden_size))
        self.v_bias = nn.Parameter(torch.zeros(config.hidden_size))

    def project(self, hidden: Tensor) -> Tensor:
        """(B, N, D) to (B, N, 3 * D)."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        # Added apart, for a quantised projection takes no bias from outside.
        return self.qkv(hidden) + bias


class MLP(nn.Module):
    """Two linear layers around an exact GELU."""

    def __init__(self, config: TimmVisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, N, D) to the same shape."""
        return self.fc2(F.gelu(self.fc1(hidden)))


class TimmBlock(nn.Module):
    """One pre-norm block."""

    attention_class: ClassVar[type[Attention]] = Attention

    def __init__(self, config: TimmVisionConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = self.attention_class(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = MLP(config)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, N, D) to the same shape."""
        hidden = hidden + self.attn(self.norm1(hidden))
        return hidden + self.mlp(self.norm2(hidden))


class EvaBlock(TimmBlock):
    """One block with the norms behind its branches."""

    attention_class = EvaAttention

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, N, D) to the same shape."""
        hidden = hidden + self.norm1(self.attn(hidden))
        return hidden + self.norm2(self.mlp(hidden))


class TimmTower(nn.Module):
    """SigLIP. All blocks but the last (unless told otherwise), then the final norm.

    Args:
        config: its shape.
        drop_last_layer: leave out the last block; the final norm stays.
    """

    block_class: ClassVar[type[TimmBlock]] = TimmBlock
    prefix_tokens: ClassVar[int] = 0

    def __init__(self, config: TimmVisionConfig, drop_last_layer: bool = True) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.empty(1, self.prefix_tokens + config.table_side**2, config.hidden_size))
        self.blocks = nn.ModuleList(self.block_class(config) for _ in range(config.num_hidden_layers - drop_last_layer))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.gradient_checkpointing = False

    def positions(self, rows: int, cols: int) -> Tensor:
        """(1, prefix_tokens + rows * cols, D): the table, its grid resampled where the picture has another."""
        side = self.config.table_side
        if (rows, cols) == (side, side):
            return self.pos_embed
        prefix, grid = self.pos_embed.split([self.prefix_tokens, side**2], dim=1)
        grid = grid.float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(rows, cols), mode="bicubic", antialias=True)
        return torch.cat([prefix, grid.flatten(2).transpose(1, 2).to(prefix.dtype)], dim=1)

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to the input of the blocks."""
        rows, cols = (side // self.config.patch_size for side in pixels.shape[-2:])
        return self.patch_embed(pixels) + self.positions(rows, cols)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures of one size.

        Args:
            pixels: (B, 3, H, W), normalised; both sides multiples of the patch.

        Returns:
            (B, H/P * W/P, D), the patches row by row.
        """
        hidden = self.embed(pixels)
        for block in self.blocks:
            hidden = self._run(block, hidden)
        return self.norm(hidden)[:, self.prefix_tokens :]

    def _run(self, block: nn.Module, hidden: Tensor) -> Any:
        if self.gradient_checkpointing and self.training:
            return torch.utils.checkpoint.checkpoint(block, hidden, use_reentrant=False)
        return block(hidden)


class EvaTower(TimmTower):
    """EVA02-E: the class token takes part, and is left out of the result."""

    block_class = EvaBlock
    prefix_tokens = 1

    def __init__(self, config: TimmVisionConfig, drop_last_layer: bool = True) -> None:
        super().__init__(config, drop_last_layer)
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.hidden_size))

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to the input of the blocks."""
        rows, cols = (side // self.config.patch_size for side in pixels.shape[-2:])
        patches = self.patch_embed(pixels)
        return torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + self.positions(rows, cols)
