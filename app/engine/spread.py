"""Which part of a model lies on which device, when one device is not enough.

What every answer touches from the host's side (vision tower, resampler, embeddings, first layer, head) lies
together on the first device, so that pictures and token ids travel once. The other layers follow in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from accelerate import infer_auto_device_map
from accelerate.utils import CustomDtype, compute_module_sizes
from torch import nn

from app.errors import DeviceError
from app.texts import Phrase

GIB = 1024**3
# Of what is free: the rest is for the KV cache, activations and fragmentation.
USABLE = 0.9
# On the first device besides: the tower's activations for a chunk of slices, and the logits.
WORKING_BYTES = int(1.5 * GIB)

Budgets = Mapping[int | str, int]


def measure_budgets(cpu_offload: bool, home: int = 0) -> dict[int | str, int]:
    """Bytes for weights on each visible GPU, from what is free now, and on the CPU if allowed.

    Args:
        home: the GPU that has the first part.
    """
    budgets: dict[int | str, int] = {}
    for index in range(torch.cuda.device_count()):
        free, _ = torch.cuda.mem_get_info(index)
        budgets[index] = max(0, int(free * USABLE) - (WORKING_BYTES if index == home else 0))
    if cpu_offload:
        import psutil

        budgets["cpu"] = int(psutil.virtual_memory().available * USABLE)
    return budgets


def bytes_type(dtype: torch.dtype, quantization: str | None) -> torch.dtype | CustomDtype:
    """The type whose size the decoder's weights have."""
    return {"int4": CustomDtype.INT4, "int8": torch.int8}.get(quantization or "", dtype)


def spread(
    model: nn.Module, decoder: nn.Module, budgets: Budgets, dtype: torch.dtype, quantization: str | None = None
) -> dict[str, int | str]:
    """A device map for `from_pretrained`.

    Args:
        model: the whole model, on the meta device.
        decoder: its part that has `layers`, which are what is spread; each stays whole.
        budgets: bytes for weights by device, in the order of use; "cpu" last if layers may go there.
        dtype: of the weights that are not quantised.
        quantization: None, "int4" or "int8", of the decoder's layers.

    Raises:
        DeviceError: the model does not fit, with the sizes.
    """
    layers: Sequence[nn.Module] = decoder.layers  # type: ignore[assignment]
    prefix = next(name for name, module in model.named_modules() if module is decoder.layers)
    first = next(iter(budgets))
    whole = compute_module_sizes(model, dtype=dtype)[""]
    in_layers = compute_module_sizes(decoder.layers, dtype=dtype)[""]
    per_type = bytes_type(dtype, quantization)
    layer_sizes = [compute_module_sizes(layer, dtype=per_type)[""] for layer in layers]
    pinned = whole - in_layers + layer_sizes[0]
    if pinned > budgets[first]:
        raise _too_large(pinned + sum(layer_sizes[1:]), budgets, pinned)
    rest = nn.ModuleList(layers[1:])
    found = infer_auto_device_map(
        rest,
        max_memory={**budgets, first: budgets[first] - pinned},
        no_split_module_classes=[type(layer).__name__ for layer in layers],
        dtype=per_type,
    )
    places = {_layer_index(name): place for name, place in found.items()}
    if "" in found:
        places = dict.fromkeys(range(1, len(layers)), found[""])
    if any(place not in budgets for place in places.values()):
        raise _too_large(pinned + sum(layer_sizes[1:]), budgets, pinned)
    device_map: dict[str, int | str] = {f"{prefix}.0": first}
    device_map |= {f"{prefix}.{index}": place for index, place in places.items()}
    return device_map | dict.fromkeys(_outside(model, prefix), first)


def _layer_index(name: str) -> int:
    """The layer that a name in the map of layers 1 and up stands for."""
    return int(name.split(".")[0]) + 1 if name else 0


def _outside(model: nn.Module, prefix: str) -> Iterator[str]:
    """The largest modules and single tensors that hold no layer."""

    def walk(module: nn.Module, name: str) -> Iterator[str]:
        for child, sub in module.named_children():
            full = f"{name}.{child}" if name else child
            if full == prefix:
                continue
            if prefix.startswith(full + "."):
                yield from walk(sub, full)
            else:
                yield full
        yield from (f"{name}.{own}" if name else own for own, _ in module.named_parameters(recurse=False))

    return walk(model, "")


def _too_large(needed: int, budgets: Budgets, pinned: int) -> DeviceError:
    have = ", ".join(f"{_name(device)} {size / GIB:.2f} GiB" for device, size in budgets.items())
    return DeviceError(
        Phrase("weights_too_large", needed=needed / GIB, pinned=pinned / GIB, have=have),
        Phrase("do_spread"),
    )


def _name(device: int | str) -> str:
    return f"GPU {device}" if isinstance(device, int) else str(device).upper()


def describe(device_map: Mapping[str, Any]) -> str:
    """How many parts lie where, for the log."""
    counts: dict[Any, int] = {}
    for place in device_map.values():
        counts[place] = counts.get(place, 0) + 1
    return ", ".join(f"{_name(place)}: {count} parts" for place, count in counts.items())
