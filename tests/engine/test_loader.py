"""From settings to a model on its device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine.loader import load_model
from app.errors import CheckpointError, DeviceError, ModelError, ModelNotFoundError, UnsupportedModelError
from app.settings import Settings
from tests.modeling.golden import MODELS, checkpoint


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
