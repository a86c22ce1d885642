"""How much memory a model takes, from its shape alone. All sizes in bytes.

The constants were fitted to measurements of the usual vision tower with fused attention; they hold within a tenth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from app.modeling.vision import chunk_size

if TYPE_CHECKING:
    from app.engine.loader import LoadedModel

# Bytes per parameter of a quantised linear layer, its scales included (nf4 with double quantisation; LLM.int8).
QUANTISED = {"int4": 0.516, "int8": 1.0005}
PATCHES_PER_SLICE = 1024
SLICES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a model takes in one precision.

    Attributes:
        weights: all parameters.
        kv_per_1000: keys and values of 1,000 tokens.
        image: working memory of the vision tower for one large image (10 slices).
        frames: the same for 64 video frames, their pixels included.
    """

    weights: int
    kv_per_1000: int
    image: int
    frames: int

    def total(self, tokens: int) -> int:
        """Weights, a conversation of so many tokens, and the larger of the two vision needs."""
        return self.weights + self.kv_per_1000 * tokens // 1000 + max(self.image, self.frames)


def empty_model(config: Any, model_class: type[nn.Module]) -> nn.Module:
    """The model with its shapes but without memory for its weights."""
    with torch.device("meta"):
        return model_class(config)


def estimate(model: nn.Module, config: Any, dtype: str) -> Estimate:
    """What a model takes.

    Args:
        model: it, on any device, also "meta".
        config: its config, with the library's names for heads and layers.
        dtype: "fp32", "bf16", "fp16", "int8" or "int4".
    """
    width = 4 if dtype == "fp32" else 2
    total = sum(parameter.numel() for parameter in model.parameters())
    linear = _linear_parameters(model) if dtype in QUANTISED else 0
    weights = (total - linear) * width + linear * QUANTISED.get(dtype, width)
    per_slice = _vision_bytes_per_slice(config, width)
    slice_pixels = PATCHES_PER_SLICE * 14 * 14 * 3
    return Estimate(
        weights=int(weights),
        kv_per_1000=1000 * kv_bytes_per_token(config, width),
        image=per_slice * 10 + slice_pixels * 10,
        frames=per_slice * SLICES_AT_ONCE + slice_pixels * 64,
    )


def _linear_parameters(model: Any) -> int:
    """Parameters of the layers that are quantised: the linear ones of the decoder."""
    layers = model.get_decoder().layers
    return sum(module.weight.numel() for module in layers.modules() if isinstance(module, nn.Linear))


def kv_bytes_per_token(config: Any, width: int) -> int:
    """Keys and values of one position in all layers, `width` bytes a number."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * config.num_key_value_heads * head * width


@dataclass(frozen=True, slots=True)
class Request:
    """What decides the memory of one answer.

    Attributes:
        tokens: of the prompt. new_tokens: of them, those that have to be computed.
        max_new_tokens: of the answer. beams: of its search, 1 without one.
        slices: patches of each slice.
        pixels: of all pictures, before they are cut.
    """

    tokens: int
    new_tokens: int
    max_new_tokens: int
    beams: int
    slices: tuple[int, ...]
    pixels: int


def request_bytes(loaded: LoadedModel, request: Request) -> int:
    """Memory of an answer at its peak, beyond the weights and what is kept of others.

    The pictures are held all along; then come the slices as bytes with the tower's work, or, when that is over, the
    keys and values with a step of the prompt: whichever is more.
    """
    model, device = loaded.model, loaded.device
    config, text = model.config, model.config.get_text_config()
    width = torch.finfo(loaded.runner.language_model.dtype).bits // 8
    patch = loaded.processor.image_processor.patch_size
    at_once = chunk_size(device)
    largest = sorted(request.slices)[-at_once:]
    vision = getattr(config, "vision_config", None)
    activations = 6 * getattr(vision, "hidden_size", 0) + getattr(vision, "intermediate_size", 0)
    # All slices as bytes on the host; those at work as numbers.
    pixels = sum(request.slices) * patch * patch * 3 if device.type == "cpu" else 0
    seeing = pixels + sum(largest) * (activations + patch * patch * 3) * width
    positions = request.tokens + request.max_new_tokens
    reading = (
        positions * request.beams * kv_bytes_per_token(text, width)
        + request.tokens * text.hidden_size * width
        + _step_bytes(text, request, 512 if device.type == "cpu" else 2048, width)
    )
    # Pillow keeps four bytes of an RGB pixel.
    pictures = 4 * request.pixels if device.type == "cpu" else 0
    return pictures + max(seeing, reading)


def _step_bytes(text: Any, request: Request, most: int, width: int) -> int:
    """Working memory of one layer for one step of the prompt: its attention or its MLP, whichever takes more.

    Beams share all steps but the last. Behind other positions the attention needs a mask, as booleans and as numbers;
    keys and values that several heads share are repeated for each.

    Args:
        most: tokens of a step.
    """
    rows = min(request.new_tokens, most)
    last = (request.new_tokens - 1) % most + 1
    rows = max(rows, last * request.beams)
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    shared = text.num_key_value_heads < text.num_attention_heads
    repeated = 2 * request.tokens * text.num_attention_heads * head * width if shared else 0
    mask = min(rows, most) * request.tokens * (1 + width) if request.tokens > rows else 0
    attention = 4 * rows * text.hidden_size * width + repeated + mask
    return max(attention, rows * (2 * text.hidden_size + 3 * text.intermediate_size) * width)


def _vision_bytes_per_slice(config: Any, width: int) -> int:
    """Activations of one slice at the peak: the residual stream, its norm, query, key, value, output and the MLP."""
    vision = config.vision_config
    return PATCHES_PER_SLICE * (6 * vision.hidden_size + vision.intermediate_size) * width
