from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor, AutoTokenizer

import app.modeling  # noqa: F401  (registers the models)
from app.engine.adapters import Adapters
from app.errors import AdapterError, SettingsError
from app.export.__main__ import main as export
from app.export.weights import Weights
from finetune.merge import merge
from tests.adapters import SHAPES, fresh, make
from tests.checkpoints import folder
from tests.engine.test_adapters import logits
from tests.export.test_gguf import File
from tests.finetune.conftest import MUST
from tests.finetune.runs import data, run

__all__ = ["data"]
MODEL = "minicpm-v-2_6"
ON_THE_HUB = "openbmb/MiniCPM-V-2_6"
# Which file of a checkpoint names which code.
CODE = {
    "config.json": ("AutoConfig", "configuration_minicpm.MiniCPMVConfig"),
    "preprocessor_config.json": ("AutoProcessor", "processing_minicpmv.MiniCPMVProcessor"),
    "tokenizer_config.json": ("AutoTokenizer", "tokenization_minicpmv_fast.MiniCPMVTokenizerFast"),
}


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


@pytest.mark.parametrize("shape", SHAPES)
def test_what_others_trained_is_merged_as_the_page_applies_it(shape: str, tmp_path: Path) -> None:
    path = make(MODEL, shape, tmp_path)
    merge(path, tmp_path / "merged", str(folder(MODEL)))
    model = fresh(MODEL)
    alone = logits(model)
    adapters = Adapters(model, {"mine": str(path)})
    adapters.use("mine")
    got = logits(AutoModel.from_pretrained(tmp_path / "merged", dtype=torch.float32))
    torch.testing.assert_close(got, logits(model), rtol=1e-4, atol=1e-4)
    assert (got - alone).abs().max() > 0.01


def code_of(path: Path, file: str) -> Any:
    kind, _ = CODE[file]
    named = json.loads((path / file).read_text())["auto_map"][kind]
    return named[0] if isinstance(named, list) else named


def test_a_model_from_the_hub_says_that_its_code_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.merge.resolve_model", lambda name, source: folder(MODEL))
    adapter = make(MODEL, "ours", tmp_path)
    merge(adapter, tmp_path / "hub", ON_THE_HUB)
    merge(adapter, tmp_path / "local", str(folder(MODEL)))
    for file, (_, place) in CODE.items():
        assert code_of(tmp_path / "hub", file) == f"{ON_THE_HUB}--{place}"
        assert code_of(tmp_path / "local", file) == place
    tokenizer = json.loads((tmp_path / "hub" / "tokenizer_config.json").read_text())
    assert tokenizer["auto_map"]["AutoTokenizer"][1] is None
    for known in (AutoModel, AutoProcessor, AutoTokenizer):
        assert type(known.from_pretrained(tmp_path / "hub")) is type(known.from_pretrained(folder(MODEL)))
    # Merged again, it still says so.
    monkeypatch.setattr("finetune.merge.resolve_model", lambda name, source: tmp_path / "hub")
    merge(adapter, tmp_path / "again", "someone/else")
    assert code_of(tmp_path / "again", "config.json") == code_of(tmp_path / "hub", "config.json")


def test_code_that_lies_in_the_folder_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Path(shutil.copytree(folder(MODEL), tmp_path / "base"))
    (base / "configuration_minicpm.py").write_text("published = True\n")
    monkeypatch.setattr("finetune.merge.resolve_model", lambda name, source: base)
    merge(make(MODEL, "ours", tmp_path), tmp_path / "merged", ON_THE_HUB)
    assert (tmp_path / "merged" / "configuration_minicpm.py").read_text() == "published = True\n"
    assert code_of(tmp_path / "merged", "config.json") == CODE["config.json"][1]


def test_full_training_of_a_model_from_the_hub_says_where_its_code_is(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.loading.resolve_model", lambda name, source, on_progress: folder(MODEL))
    run(MODEL, data, tmp_path / "out", model_name_or_path=ON_THE_HUB, tune_llm="false", max_steps=1)
    assert code_of(tmp_path / "out", "config.json") == f"{ON_THE_HUB}--{CODE['config.json'][1]}"


def test_a_merged_checkpoint_becomes_a_gguf_file(data: Path, tmp_path: Path) -> None:
    run(MODEL, data, tmp_path / "adapter", use_lora="true", lora_r=4, max_steps=2)
    merge(tmp_path / "adapter", tmp_path / "merged")
    flags = ["gguf", "--model", str(tmp_path / "merged"), "--out", str(tmp_path / "gguf"), "--type", "f32"]
    assert export(flags) == 0
    written = File(tmp_path / "gguf" / "model-f32.gguf")["blk.0.ffn_up.weight"]
    merged, base = (
        Weights(path).read("llm.model.layers.0.mlp.up_proj.weight") for path in (tmp_path / "merged", folder(MODEL))
    )
    assert (written == merged).all() and (written != base).any()
