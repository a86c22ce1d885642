"""From settings to a model on its device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bitsandbytes
import psutil
import pytest
import torch
from PIL import Image

from app.engine.device import DtypeChoice
from app.engine.loader import _device_map, count_weights, load_model
from app.errors import (
    CheckpointError,
    DeviceError,
    ModelError,
    ModelNotFoundError,
    OutOfMemoryError,
    UnsupportedModelError,
)
from app.families import all_families
from app.modeling.auto import find_member
from app.settings import Settings
from tests.modeling.golden import MODELS, change_config, checkpoint, write_int4


def settings(model: Path | str, **changes: Any) -> Settings:
    return Settings(**({"model": str(model), "port": 1, "device": "cpu", "dtype": "fp32"} | changes))


def quiet(fraction: float | None, detail: str) -> None:
    return None


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("dtype", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_dtype(model: str, dtype: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.device.cpu_flags", lambda: {"avx512_bf16"}, raising=True)
    loaded = load_model(settings(checkpoint(model), dtype=dtype), quiet)
    assert loaded.model.dtype == expected or loaded.notes
    assert loaded.model.device.type == "cpu"
    assert loaded.context == loaded.model.config.max_position_embeddings


@pytest.mark.parametrize("dtype", ["int4", "int8"])
def test_quantised_on_the_fly(dtype: str) -> None:
    loaded = load_model(settings(checkpoint(MODELS[0]), dtype=dtype), quiet)
    kinds = {type(module).__name__ for module in loaded.model.llm.modules()}
    assert {"int4": "Linear4bit", "int8": "Linear8bitLt"}[dtype] in kinds
    assert type(loaded.model.llm.lm_head) is torch.nn.Linear
    assert type(loaded.model.vpm.encoder.layers[0].mlp.fc1) is torch.nn.Linear


def test_loading_reports_how_far_it_is() -> None:
    seen: list[tuple[float | None, str]] = []
    load_model(settings(checkpoint(MODELS[0])), lambda fraction, detail: seen.append((fraction, detail)))
    fractions = [fraction for fraction, _ in seen if fraction is not None]
    assert fractions[-1] == pytest.approx(1.0)
    assert any(0 < fraction < 1 for fraction in fractions)
    assert any("MiniCPM-V 2.6" in detail for _, detail in seen)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        load_model(settings(tmp_path), quiet)


def test_a_model_of_another_family(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UnsupportedModelError, match="bert"):
        load_model(settings(tmp_path), quiet)


@pytest.mark.parametrize("damage", ["truncated", "empty", "wrong"])
def test_damaged_weights_are_a_readable_error(tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(checkpoint(MODELS[0]), tmp_path / "model"))
    shard = folder / "model-00001-of-00002.safetensors"
    content = {"truncated": shard.read_bytes()[:1000], "empty": b"", "wrong": b"x" * 5000}[damage]
    shard.write_bytes(content)
    with pytest.raises((ModelError, CheckpointError)) as caught:
        load_model(settings(folder), quiet)
    assert caught.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU that is not there")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="cuda"):
        load_model(settings(checkpoint(MODELS[0]), device="cuda"), quiet)


def test_a_published_int4_checkpoint_sees(tmp_path: Path) -> None:
    """Its tower has layers of shapes that some kernels for CPUs do not take."""
    write_int4("minicpm-v-2_6", tmp_path)
    loaded = load_model(settings(tmp_path, dtype="auto"), quiet)
    shapes = {(layer.in_features, layer.out_features) for layer in loaded.model.vpm.modules()
              if isinstance(layer, bitsandbytes.nn.Linear4bit)}  # fmt: skip
    assert any(outputs % 32 or inputs % 64 for inputs, outputs in shapes)
    layers = [layer for layer in loaded.model.modules() if isinstance(layer, bitsandbytes.nn.Linear4bit)]
    assert {layer.compute_dtype for layer in layers} == {loaded.model.dtype}
    question = [{"role": "user", "content": [Image.new("RGB", (100, 60), "red"), "What is this?"]}]
    tokenizer = loaded.processor.tokenizer
    assert loaded.model.chat(msgs=question, tokenizer=tokenizer, sampling=False, num_beams=1, max_new_tokens=4)


@pytest.mark.parametrize("method", ["awq", "gptq", "fp8"])
def test_weights_quantised_in_another_way_are_named_before_they_are_read(tmp_path: Path, method: str) -> None:
    folder = Path(shutil.copytree(checkpoint("minicpm-v-2_6"), tmp_path / "model"))
    change_config(folder, quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(ModelError, match=f"quantised by {method}") as caught:
        load_model(settings(folder, dtype="auto"), quiet)
    assert "vLLM" in str(caught.value)
    change_config(folder, quantization_config=None)
    assert load_model(settings(folder), quiet).model.dtype == torch.float32


def placed(device: str, **changes: Any) -> dict[str, Any]:
    """The device map of settings, without a GPU."""
    folder = checkpoint("minicpm-v-2_6")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    dtype = changes.pop("dtype", "fp32")
    chosen = settings(folder, device=device, dtype=dtype, **changes)
    choice = DtypeChoice(torch.float32, "int4" if dtype == "int4" else None, ())
    return _device_map(chosen, folder, torch.device(device), choice, find_member(all_families(), config))


def test_the_gpu_that_is_named_has_the_first_part() -> None:
    much = 10**9
    assert set(placed("cuda:1", max_memory={1: much}).values()) == {1}
    assert set(placed("cuda:1", max_memory={0: much, 1: much, "cpu": much}, cpu_offload=True).values()) == {1}
    both = placed("cuda:1", max_memory={0: much, 1: much}, multi_gpus=True)
    assert both["vpm"] == 1
    for missing in ({"cpu": much}, {0: much}):
        with pytest.raises(DeviceError, match="nothing of GPU 1"):
            placed("cuda:1", max_memory=missing, cpu_offload=True)


def test_what_is_quantised_stays_on_gpus_and_that_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = {0: 10**9, "cpu": 10**9}
    spread_over: list[Any] = []
    monkeypatch.setattr("app.engine.loader.spread", lambda *given: spread_over.append(list(given[2])))
    placed("cuda", max_memory=budgets, cpu_offload=True)
    placed("cuda", max_memory=budgets, cpu_offload=True, dtype="int4")
    assert spread_over == [[0, "cpu"], [0]]
    assert "--cpu-offload is not used: in int4" in caplog.text


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many bytes of main memory are free."""

    def have(free: int) -> None:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
        monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(free=0))

    return have


def test_what_does_not_fit_in_fp32_is_held_in_bf16_and_that_is_said(memory: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("app.engine.device.cpu_flags", lambda: set())
    folder = checkpoint(MODELS[0])
    count = count_weights(folder, find_member(all_families(), json.loads((folder / "config.json").read_text("utf-8"))))
    memory(4 * count)
    loaded = load_model(settings(folder, dtype="auto"), quiet)
    assert loaded.model.dtype == torch.float32 and not loaded.notes
    assert sum(one.numel() for one in loaded.model.parameters()) == count
    memory(4 * count - 1)
    loaded = load_model(settings(folder, dtype="auto"), quiet)
    assert loaded.model.dtype == torch.bfloat16 and "bf16 is used" in loaded.notes[0]
    for dtype, free in (("auto", 2 * count - 1), ("fp32", 4 * count - 1)):
        memory(free)
        with pytest.raises(OutOfMemoryError, match=r"GiB are free.*--dtype int4"):
            load_model(settings(folder, dtype=dtype), quiet)
