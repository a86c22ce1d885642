"""What an adapter's folder holds, whoever wrote it, and what is said of folders that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from app.errors import AdapterError
from app.modeling.adapters import check_adapter, plain_name, read_adapter
from tests.adapters import SHAPES, change_config, make, saved, trained, weights_of, write_weights

MODEL = "minicpm-v-2_6"
Q = "llm.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(MODEL, "official", tmp_path_factory.mktemp("adapters"))


@pytest.fixture
def adapter(official: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    path = tmp_path / "adapter"
    path.mkdir()
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (path / file).write_bytes((official / file).read_bytes())
    return path


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        (f"base_model.model.{Q}.lora_A.weight", f"{Q}.lora_A.weight"),
        (f"base_model.model.{Q}.lora_A.default.weight", f"{Q}.lora_A.weight"),
        (f"{Q}.lora_B.default.weight", f"{Q}.lora_B.weight"),
        (f"base_model.model.{Q}.lora_B.bias", f"{Q}.lora_B.bias"),
        (f"base_model.model.{Q}.lora_magnitude_vector", f"{Q}.lora_magnitude_vector"),
        (f"base_model.model.{Q}.lora_magnitude_vector.default.weight", f"{Q}.lora_magnitude_vector.weight"),
        ("base_model.model.llm.model.embed_tokens.lora_embedding_A.default", "llm.model.embed_tokens.lora_embedding_A"),
        ("base_model.model.llm.model.embed_tokens.base_layer.weight", "llm.model.embed_tokens.weight"),
        ("base_model.model.resampler.query", "resampler.query"),
        ("base_model.model.resampler.modules_to_save.default.attn.out_proj.bias", "resampler.attn.out_proj.bias"),
        ("base_model.model.vpm.modules_to_save.mine.post_layernorm.weight", "vpm.post_layernorm.weight"),
    ],
)
def test_names_of_weights(written: str, plain: str) -> None:
    assert plain_name(written) == plain


@pytest.mark.parametrize("shape", SHAPES)
def test_every_writer_is_understood(shape: str, tmp_path: Path) -> None:
    weights = read_adapter(make(MODEL, shape, tmp_path))
    assert Q in weights.targets
    assert all(name.startswith(("llm.", "vpm.", "resampler.")) for name in (*weights.lora, *weights.whole))
    parts = {name.split(".")[0] for name in weights.whole}
    assert parts == {
        "official": {"llm", "resampler"},
        "official_vision": {"llm", "resampler", "vpm"},
        "official_early": {"llm", "resampler", "vpm"},
        "swift": {"llm"},
    }.get(shape, set())


def test_a_state_dict_from_training_is_an_adapter_too(adapter: Path) -> None:
    plain = read_adapter(adapter)
    raw = {}
    for name, weight in weights_of(adapter).items():
        name = name.replace("lora_A.", "lora_A.default.").replace("lora_B.", "lora_B.default.")
        name = name.replace("resampler.", "resampler.modules_to_save.default.")
        raw[name.replace("embed_tokens.", "embed_tokens.modules_to_save.default.")] = weight
    raw["base_model.model.resampler.original_module.query"] = torch.zeros(1)
    write_weights(adapter, raw)
    again = read_adapter(adapter)
    assert set(again.lora) == set(plain.lora) and set(again.whole) == set(plain.whole)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"peft_type": "IA3"}, ["IA3", "allowed is LORA"]),
        ({"peft_type": "PROMPT_TUNING"}, ["PROMPT_TUNING"]),
        ({"peft_type": None}, ["type None"]),
        ({"bias": "all"}, ["bias is 'all'", "'none'"]),
        ({"init_lora_weights": "pissa_niter_16"}, ["pissa_niter_16"]),
        ({"init_lora_weights": "olora"}, ["olora"]),
        ({"layer_replication": [[0, 2]]}, ["layer_replication"]),
        ({"trainable_token_indices": [1]}, ["trainable_token_indices"]),
        ({"modules_to_save": ["embed_tokens", "lm_head"]}, ["modules_to_save", "lm_head"]),
    ],
)
def test_another_kind_is_refused(adapter: Path, changes: dict[str, Any], words: list[str]) -> None:
    change_config(adapter, **changes)
    with pytest.raises(AdapterError) as caught:
        read_adapter(adapter)
    assert all(word in str(caught.value) for word in [*words, str(adapter)])
    assert caught.value.hint


def test_settings_of_the_training_do_not_matter(adapter: Path) -> None:
    change_config(adapter, init_lora_weights="gaussian", lora_dropout=0.5, lorap_lr_ratio=16.0, unheard_of=True)
    assert read_adapter(adapter).targets


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="allowed is the folder of an adapter"):
        check_adapter(tmp_path / "nothing")


def test_a_folder_without_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"adapter_config\.json is missing"):
        check_adapter(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\udcff"])
def test_a_broken_config(adapter: Path, content: str) -> None:
    (adapter / "adapter_config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(AdapterError, match=r"adapter_config\.json"):
        check_adapter(adapter)


def test_missing_weights(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(AdapterError, match=r"adapter_model\.safetensors or adapter_model\.bin is missing"):
        check_adapter(adapter)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_model.bin"])
@pytest.mark.parametrize("content", [b"", b"x" * 500])
def test_broken_weights(adapter: Path, name: str, content: bytes) -> None:
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / name).write_bytes(content)
    with pytest.raises(AdapterError, match="cannot be read"):
        read_adapter(adapter)


def test_empty_weights(adapter: Path) -> None:
    write_weights(adapter, {})
    change_config(adapter, modules_to_save=None)
    with pytest.raises(AdapterError, match="hold nothing"):
        read_adapter(adapter)


def test_it_says_what_it_was_made_for(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", trained(MODEL, target_modules=["q_proj"]))
    change_config(path, base_model_name_or_path="openbmb/MiniCPM-V-2_6")
    assert read_adapter(path).base == "MiniCPM-V-2_6"
    assert json.loads((path / "adapter_config.json").read_text())["peft_type"] == "LORA"
