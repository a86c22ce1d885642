from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

import app.modeling  # noqa: F401  (registers the models)
from app.errors import AdapterError, SettingsError
from finetune.merge import merge
from tests.checkpoints import folder
from tests.finetune.conftest import MUST
from tests.finetune.runs import data, run

__all__ = ["data"]


def names(path: Path) -> set[str]:
    return {name for file in path.glob("*.safetensors") for name in load_file(file)}


@pytest.mark.parametrize("name", MUST)
def test_the_merged_checkpoint_answers_as_model_and_adapter(name: str, data: Path, tmp_path: Path) -> None:
    run(name, data, tmp_path / "adapter", use_lora="true", lora_r=4, max_steps=2)
    merge(tmp_path / "adapter", tmp_path / "merged")
    source = folder(name)
    assert names(tmp_path / "merged") == names(source)
    assert json.loads((tmp_path / "merged" / "config.json").read_text()) == json.loads(
        (source / "config.json").read_text()
    )
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    base = AutoModel.from_pretrained(source)
    ids = torch.arange(20)[None]
    plain = base(input_ids=ids).logits
    query = base.resampler.query.clone()
    wanted = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()(input_ids=ids).logits
    merged = AutoModel.from_pretrained(tmp_path / "merged")
    got = merged(input_ids=ids).logits
    assert torch.allclose(got, wanted, atol=1e-4, rtol=1e-5)
    assert not torch.allclose(got, plain, atol=1e-2)
    assert torch.equal(merged.resampler.query, base.resampler.query) and not torch.equal(merged.resampler.query, query)


def test_what_cannot_be_merged(data: Path, tmp_path: Path) -> None:
    run("minicpm-v-2_6", data, tmp_path / "adapter", use_lora="true", lora_r=4, max_steps=1)
    with pytest.raises(SettingsError, match="is there already"):
        merge(tmp_path / "adapter", tmp_path)
    with pytest.raises(AdapterError):
        merge(tmp_path, tmp_path / "merged")
    with pytest.raises(AdapterError, match="--model"):
        merge(tmp_path / "adapter", tmp_path / "merged", base=str(folder("minicpm-v-2")))
    assert not (tmp_path / "merged").exists()
