from __future__ import annotations

import pytest
import torch

from app.engine.device import (
    DtypeChoice,
    Machine,
    choose_attention,
    choose_device,
    choose_dtype,
    has_bf16,
    parse_cpu_flags,
    pick_attention,
    pick_device,
    pick_dtype,
    probe_machine,
)
from app.errors import DeviceError

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
WORKSTATION, LAPTOP, MAC = Machine(cuda=2), Machine(), Machine(mps=True)


# --- device


@pytest.mark.parametrize(
    ("name", "machine", "device"),
    [
        ("auto", WORKSTATION, "cuda"),
        ("auto", MAC, "mps"),
        ("auto", LAPTOP, "cpu"),
        ("cuda", WORKSTATION, "cuda"),
        ("cuda:1", WORKSTATION, "cuda:1"),
        ("mps", MAC, "mps"),
        ("cpu", WORKSTATION, "cpu"),
        ("cpu", MAC, "cpu"),
    ],
)
def test_devices(name: str, machine: Machine, device: str):
    assert pick_device(name, machine) == device


@pytest.mark.parametrize(
    ("name", "machine", "here"),
    [
        ("cuda", LAPTOP, "here is cpu"),
        ("cuda:0", MAC, "here is mps, cpu"),
        ("cuda:2", WORKSTATION, "here is cuda:0, cuda:1, cpu"),
        ("mps", WORKSTATION, "here is cuda:0, cuda:1, cpu"),
        ("tpu", LAPTOP, "allowed is auto, cuda, cuda:N, mps or cpu"),
        ("cuda:x", LAPTOP, "allowed is auto"),
    ],
)
def test_a_device_that_is_not_there_names_what_is(name: str, machine: Machine, here: str):
    with pytest.raises(DeviceError) as caught:
        pick_device(name, machine)
    assert name in str(caught.value) and here in str(caught.value)


# --- dtype


@pytest.mark.parametrize(
    ("name", "kind", "bf16", "expected"),
    [
        ("auto", "cuda", True, DtypeChoice(BF16)),
        ("auto", "cuda", False, DtypeChoice(FP16)),
        ("auto", "mps", False, DtypeChoice(FP16)),
        ("auto", "cpu", True, DtypeChoice(BF16)),
        ("auto", "cpu", False, DtypeChoice(FP32)),
        ("bf16", "cuda", True, DtypeChoice(BF16)),
        ("bf16", "cpu", True, DtypeChoice(BF16)),
        ("fp16", "cuda", True, DtypeChoice(FP16)),
        ("fp16", "cpu", False, DtypeChoice(FP16)),
        ("fp32", "cuda", True, DtypeChoice(FP32)),
        ("fp32", "mps", False, DtypeChoice(FP32)),
        ("int4", "cuda", True, DtypeChoice(BF16, "int4")),
        ("int4", "cuda", False, DtypeChoice(FP16, "int4")),
        ("int8", "cuda", True, DtypeChoice(BF16, "int8")),
        ("int8", "cpu", False, DtypeChoice(FP32, "int8")),
    ],
)
def test_dtypes_of_a_full_checkpoint(name: str, kind: str, bf16: bool, expected: DtypeChoice):
    assert pick_dtype(name, kind, bf16, quantized_checkpoint=False) == expected


@pytest.mark.parametrize(
    ("name", "kind", "bf16", "dtype"),
    [
        ("auto", "cuda", True, BF16),
        ("int4", "cuda", False, FP16),
        ("fp32", "cuda", True, FP32),
        ("auto", "cpu", False, FP32),
    ],
)
def test_an_int4_checkpoint_stays_int4(name: str, kind: str, bf16: bool, dtype: torch.dtype):
    assert pick_dtype(name, kind, bf16, quantized_checkpoint=True) == DtypeChoice(dtype, "int4")


@pytest.mark.parametrize(
    ("kind", "dtype", "word"),
    [("cuda", FP16, "this GPU"), ("mps", FP16, "the mps device"), ("cpu", FP32, "this processor")],
)
def test_bf16_without_hardware_is_replaced_and_said(kind: str, dtype: torch.dtype, word: str):
    choice = pick_dtype("bf16", kind, False, quantized_checkpoint=False)
    used = "fp32" if dtype is FP32 else "fp16"
    assert choice == DtypeChoice(dtype, None, (f"bf16 was asked, but {word} lacks it in hardware; {used} is used.",))


def test_mps_never_gets_bf16():
    assert pick_dtype("auto", "mps", True, quantized_checkpoint=False).torch_dtype is FP16
    assert pick_dtype("bf16", "mps", True, quantized_checkpoint=False).torch_dtype is FP16


def test_int8_of_an_int4_checkpoint_is_said():
    choice = pick_dtype("int8", "cuda", True, quantized_checkpoint=True)
    assert choice.quantization == "int4" and "stays int4" in choice.notes[0]


@pytest.mark.parametrize(
    ("name", "quantized", "got"),
    [("int4", False, "int4 was asked"), ("int8", False, "int8 was asked"), ("auto", True, "checkpoint is int4")],
)
def test_quantization_on_mps_names_what_works_there(name: str, quantized: bool, got: str):
    with pytest.raises(DeviceError) as caught:
        pick_dtype(name, "mps", False, quantized_checkpoint=quantized)
    assert got in str(caught.value) and "--dtype fp16" in str(caught.value)


def test_an_unknown_dtype_names_the_known_ones():
    with pytest.raises(DeviceError, match="'fp8' was asked; allowed is auto, bf16, fp16, fp32, int4, int8"):
        pick_dtype("fp8", "cuda", True, quantized_checkpoint=False)


# --- probing


def test_flags_of_x86():
    assert parse_cpu_flags("processor : 0\nflags\t\t: fpu avx512_bf16 amx_bf16\nbugs: none\n") == {
        "fpu", "avx512_bf16", "amx_bf16",
    }  # fmt: skip


def test_flags_of_arm():
    assert "bf16" in parse_cpu_flags("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd i8mm bf16\n")


def test_no_flags():
    assert parse_cpu_flags("") == set()


def test_this_machine_agrees_with_pytorch():
    machine = probe_machine()
    assert machine.cuda == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
    assert choose_device("auto").type == ("cuda" if machine.cuda else "mps" if machine.mps else "cpu")


def test_the_choice_for_this_processor_runs():
    cpu = torch.device("cpu")
    dtype = choose_dtype("auto", cpu, quantized_checkpoint=False).torch_dtype
    assert dtype is (BF16 if has_bf16(cpu) else FP32)
    assert (torch.ones(2, 2, dtype=dtype) @ torch.ones(2, 2, dtype=dtype)).tolist() == [[2, 2], [2, 2]]


# --- attention


@pytest.mark.parametrize(
    ("kind", "dtype", "capability", "installed", "attention"),
    [
        ("cuda", BF16, (8, 6), {2}, "flash_attention_2"),
        ("cuda", FP16, (9, 0), {2}, "flash_attention_2"),
        ("cuda", BF16, (9, 0), {2, 3}, "flash_attention_3"),
        ("cuda", BF16, (8, 0), {2, 3}, "flash_attention_2"),
        ("cuda", BF16, (10, 0), {3}, "sdpa"),
        ("cuda", BF16, (9, 0), set(), "sdpa"),
        ("cuda", FP32, (9, 0), {2, 3}, "sdpa"),
        ("cuda", FP16, (7, 5), {2, 3}, "sdpa"),
        ("cpu", BF16, (0, 0), {2, 3}, "sdpa"),
        ("mps", FP16, (0, 0), {2}, "sdpa"),
    ],
)
def test_flash_attention_if_it_is_installed_and_runs(
    kind: str, dtype: torch.dtype, capability: tuple[int, int], installed: set[int], attention: str
):
    assert pick_attention(kind, dtype, capability, installed) == attention


def test_a_cpu_takes_pytorchs_attention():
    assert choose_attention(torch.device("cpu"), BF16) == "sdpa"
