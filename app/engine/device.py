"""Where a model runs and in which precision: what the machine has is probed here, the rules are pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from app.errors import DeviceError
from app.texts import Phrase

Quantization = Literal["int4", "int8"]
TORCH_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
DTYPES = ("auto", *TORCH_DTYPES, "int4", "int8")
# The library's name of PyTorch's own attention.
PYTORCHS = "sdpa"
# Of CUDA devices: from which on FlashAttention 2 runs, and on which 3 does.
FLASH_2, HOPPER = (8, 0), 9
BF16_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86, x86, arm


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to run on.

    Attributes:
        cuda: number of CUDA (or ROCm) devices.
        mps: Apple's GPU can be used.
    """

    cuda: int = 0
    mps: bool = False

    @property
    def devices(self) -> str:
        """The names that can be asked for, to be shown."""
        cuda = [f"cuda:{index}" for index in range(self.cuda)]
        return ", ".join([*cuda, *(["mps"] if self.mps else []), "cpu"])


@dataclass(frozen=True, slots=True)
class DtypeChoice:
    """In which precision a model is loaded.

    Attributes:
        torch_dtype: of the weights that are not quantized, and of activations.
        quantization: None, "int4" or "int8" by bitsandbytes.
        notes: what was decided against the user's wish, one sentence each.
    """

    torch_dtype: torch.dtype
    quantization: Quantization | None = None
    notes: tuple[str, ...] = ()


def choose_device(name: str) -> torch.device:
    """The device of this machine that a name asks for.

    Args:
        name: "auto", "cuda", "cuda:N", "mps" or "cpu".

    Raises:
        DeviceError: it is not there; names what is.
    """
    return torch.device(pick_device(name, probe_machine()))


def choose_dtype(name: str, device: torch.device, quantized_checkpoint: bool) -> DtypeChoice:
    """The precision on this machine.

    Args:
        name: "auto", "bf16", "fp16", "fp32", "int4" or "int8".
        quantized_checkpoint: the weights are int4 of bitsandbytes already, as in the published -int4 models.

    Raises:
        DeviceError: the device cannot run it; names what works there.
    """
    return pick_dtype(name, device.type, has_bf16(device), quantized_checkpoint)


def choose_attention(device: torch.device, dtype: torch.dtype) -> str:
    """The library's name of the fastest attention there is for a device."""
    from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

    there = {2: is_flash_attn_2_available(), 3: is_flash_attn_3_available()}
    versions = {version for version, installed in there.items() if installed}
    # A GPU that is lent for each answer cannot be asked before.
    capability = torch.cuda.get_device_capability(device) if versions and device.type == "cuda" else (0, 0)
    return pick_attention(device.type, dtype, capability, versions)


def pick_attention(kind: str, dtype: torch.dtype, capability: tuple[int, int], versions: Collection[int]) -> str:
    """`choose_attention` as a rule: FlashAttention where it is installed and runs, else PyTorch's own.

    Args:
        capability: of the CUDA device. versions: of FlashAttention that are installed.
    """
    runs = {2: capability >= FLASH_2, 3: capability[0] == HOPPER}
    fit = [version for version in versions if runs.get(version)]
    if kind != "cuda" or dtype == torch.float32 or not fit:
        return PYTORCHS
    return f"flash_attention_{max(fit)}"


def pick_device(name: str, machine: Machine) -> str:
    """`choose_device` as a rule: "cuda", "cuda:N", "mps" or "cpu"."""
    if name == "auto":
        return "cuda" if machine.cuda else "mps" if machine.mps else "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise DeviceError(Phrase("device_unknown", name=name))
    kind, _, index = name.partition(":")
    there = kind == "cpu" or (kind == "mps" and machine.mps) or (kind == "cuda" and int(index or 0) < machine.cuda)
    if not there:
        raise DeviceError(Phrase("device_missing", name=name, devices=machine.devices), _install_hint(kind, machine))
    return name


def pick_dtype(name: str, kind: str, bf16: bool, quantized_checkpoint: bool) -> DtypeChoice:
    """`choose_dtype` as a rule.

    Args:
        kind: "cuda", "mps" or "cpu".
        bf16: whether the device computes bf16 in hardware.
    """
    if name not in DTYPES:
        raise DeviceError(Phrase("dtype_unknown", name=name, known=", ".join(DTYPES)))
    quantization, notes = _pick_quantization(name, quantized_checkpoint)
    if quantization and kind == "mps":
        got = Phrase("checkpoint_int4") if quantized_checkpoint else Phrase("dtype_asked", name=name)
        raise DeviceError(Phrase("not_on_mps", got=got),
                          Phrase("do_full_fp16"))  # fmt: skip
    if name in ("fp16", "fp32"):
        return DtypeChoice(TORCH_DTYPES[name], quantization, notes)
    best = "bf16" if bf16 and kind != "mps" else "fp32" if kind == "cpu" else "fp16"
    if name == "bf16" and best != "bf16":
        notes = (*notes, Phrase("note_no_bf16", device=_words(kind), best=best))
    return DtypeChoice(TORCH_DTYPES[best], quantization, notes)


def probe_machine() -> Machine:
    """What PyTorch can use here."""
    return Machine(torch.cuda.device_count() if torch.cuda.is_available() else 0, torch.backends.mps.is_available())


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes bf16 in hardware; emulation does not count."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(BF16_CPU_FLAGS & cpu_flags())


def cpu_flags() -> set[str]:
    """Names of the processor's extensions, as far as PyTorch and the system tell."""
    flags = {name for name, present in torch.cpu.get_capabilities().items() if present is True}
    cpuinfo = Path("/proc/cpuinfo")
    return flags | (parse_cpu_flags(cpuinfo.read_text(errors="replace")) if cpuinfo.exists() else set())


def parse_cpu_flags(cpuinfo: str) -> set[str]:
    """The flags of the first processor in the text of /proc/cpuinfo, on x86 and on arm."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def _words(kind: str) -> str:
    return {"cuda": Phrase("this_gpu"), "mps": Phrase("this_mps"), "cpu": Phrase("this_cpu")}[kind]


def _pick_quantization(name: str, quantized_checkpoint: bool) -> tuple[Quantization | None, tuple[str, ...]]:
    if quantized_checkpoint:
        note = Phrase("note_int4_stays")
        return "int4", (note,) if name == "int8" else ()
    return ("int4" if name == "int4" else "int8" if name == "int8" else None), ()


def _install_hint(kind: str, machine: Machine) -> str:
    if kind == "cuda" and not machine.cuda:
        return Phrase("do_auto_nvidia")
    return Phrase("do_auto_device")
