"""A GGUF file, written tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from gguf.quants import quant_shape_to_byte_shape, quantize

BLOCK = 32  # values that the quantised types pack together; a row is a whole number of blocks
KINDS = ("f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
FILE_TYPES = {name: LlamaFileType[f"MOSTLY_{name.upper()}"] for name in KINDS} | {"f32": LlamaFileType.ALL_F32}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor to write.

    Attributes:
        shape: as NumPy has it; the file has it reversed.
        make: gives float32 of that shape.
        exact: stays float32 whatever the file's precision.
        sensitive: has no fewer than 8 bits per value.
    """

    name: str
    shape: tuple[int, ...]
    make: Callable[[], np.ndarray]
    exact: bool = False
    sensitive: bool = False

    def kind(self, precision: str) -> GGMLQuantizationType:
        """How it is stored in a file of this precision."""
        if self.exact or len(self.shape) < 2 or precision == "f32":
            return GGMLQuantizationType.F32
        wanted = GGMLQuantizationType[precision.upper()]
        if precision in ("f16", "bf16"):
            return wanted
        if self.shape[-1] % BLOCK:
            return GGMLQuantizationType.F16
        return GGMLQuantizationType.Q8_0 if self.sensitive else wanted


def write(
    path: Path,
    architecture: str,
    describe: Sequence[Callable[[GGUFWriter], None]],
    tensors: Sequence[Tensor],
    precision: str,
) -> Path:
    """Write a file; returns its path.

    Args:
        describe: each adds fields.
        precision: a name of `FILE_TYPES`.
    """
    writer = GGUFWriter(path, architecture)
    writer.add_file_type(FILE_TYPES[precision])
    if precision.startswith("q"):
        writer.add_quantization_version(2)
    for add in describe:
        add(writer)
    for tensor in tensors:
        kind = tensor.kind(precision)
        stored = np.dtype({"F32": np.float32, "F16": np.float16}.get(kind.name, np.uint8))
        shape = tensor.shape if stored != np.uint8 else quant_shape_to_byte_shape(tensor.shape, kind)
        writer.add_tensor_info(tensor.name, shape, stored, int(np.prod(shape)) * stored.itemsize, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        values = np.ascontiguousarray(tensor.make(), dtype=np.float32)
        assert values.shape == tensor.shape, (tensor.name, values.shape, tensor.shape)
        writer.write_tensor_data(quantize(values, tensor.kind(precision)))
    writer.close()
    return path
