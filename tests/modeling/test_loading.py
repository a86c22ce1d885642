"""Checkpoints load strictly, through the Auto classes, in every way they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoProcessor, AutoTokenizer, BitsAndBytesConfig

from app.errors import CheckpointError, RequestError, UnsupportedModelError
from tests.modeling.golden import MODELS, change_config, checkpoint, load, write_int4

by_model = pytest.mark.parametrize("model", MODELS)
QUESTION = [{"role": "user", "content": "Hello, what is this?"}]


def greedy(model: Any, tokenizer: Any, **options: Any) -> str:
    return model.chat(msgs=QUESTION, tokenizer=tokenizer, sampling=False, num_beams=1, max_new_tokens=12, **options)


@by_model
def test_a_missing_weight_is_an_error_that_names_it(model: str, copy: Any) -> None:
    folder = copy(model)
    shard = folder / "model-00002-of-00002.safetensors"
    tensors = load_file(shard)
    gone = sorted(tensors)[0]
    del tensors[gone]
    save_file(tensors, shard, metadata={"format": "pt"})
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    del index["weight_map"][gone]
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=gone):
        AutoModel.from_pretrained(folder)


@by_model
def test_a_surplus_weight_is_an_error_that_names_it(model: str, copy: Any) -> None:
    folder = copy(model)
    shard = folder / "model-00002-of-00002.safetensors"
    save_file(load_file(shard) | {"vpm.surplus": torch.zeros(1)}, shard, metadata={"format": "pt"})
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["vpm.surplus"] = shard.name
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"unexpected.*vpm\.surplus"):
        AutoModel.from_pretrained(folder)


def test_an_unknown_version_lists_the_known_models(copy: Any) -> None:
    folder = change_config(copy(MODELS[0]), version="99")
    with pytest.raises(UnsupportedModelError, match=r"MiniCPM-V 2\.6, MiniCPM-Llama3-V 2\.5"):
        AutoModel.from_pretrained(folder)


@pytest.mark.parametrize("version", [2.6, "2.6"])
def test_the_version_may_be_a_number_or_a_text(copy: Any, version: Any) -> None:
    config = AutoConfig.from_pretrained(change_config(copy("minicpm-v-2_6"), version=version))
    assert type(config).__name__ == "MiniCPMV26Config"


@by_model
@pytest.mark.parametrize("loader", [AutoModel, AutoModelForCausalLM])
def test_trust_remote_code_is_not_needed_and_changes_nothing(model: str, loader: Any) -> None:
    loaded = loader.from_pretrained(checkpoint(model), trust_remote_code=True, dtype=torch.float32)
    assert type(loaded) is type(load(model)[0])


@by_model
def test_saved_and_loaded_again_it_answers_the_same(model: str, tmp_path: Path) -> None:
    original, tokenizer, processor = load(model)
    original.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    index = json.loads((checkpoint(model) / "model.safetensors.index.json").read_text())
    assert names == set(index["weight_map"])
    again = AutoModel.from_pretrained(tmp_path, dtype=torch.float32)
    assert greedy(again, AutoTokenizer.from_pretrained(tmp_path)) == greedy(original, tokenizer)
    saved = json.loads((tmp_path / "config.json").read_text())
    published = json.loads((checkpoint(model) / "config.json").read_text())
    for key in ("model_type", "version", "query_num", "hidden_size", "num_hidden_layers", "drop_vision_last_layer"):
        assert saved[key] == published[key]
    assert saved["vision_config"]["model_type"] == published["vision_config"]["model_type"]


@by_model
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_fp32(model: str, dtype: torch.dtype) -> None:
    full, tokenizer, processor = load(model)
    half = AutoModel.from_pretrained(checkpoint(model), dtype=dtype)
    picture = Image.linear_gradient("L").convert("RGB").resize((700, 500))
    inputs = processor.chat_inputs([[{"role": "user", "content": [picture, "What?"]}]])
    with torch.inference_mode():
        wanted = full(**inputs).logits[0, -1]
        got = half(**inputs).logits[0, -1].float()
    assert half.dtype == dtype
    assert torch.nn.functional.cosine_similarity(got, wanted, dim=0) > 0.99
    assert isinstance(greedy(half, tokenizer), str)


@by_model
def test_eager_attention_gives_the_same_answer(model: str) -> None:
    eager = AutoModel.from_pretrained(checkpoint(model), dtype=torch.float32, attn_implementation="eager")
    assert greedy(eager, load(model)[1]) == greedy(*load(model)[:2])


@by_model
@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_on_the_fly(model: str, bits: int) -> None:
    config = BitsAndBytesConfig(
        load_in_4bit=bits == 4,
        load_in_8bit=bits == 8,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=["vpm", "resampler", "lm_head"],
    )
    quantised = AutoModel.from_pretrained(checkpoint(model), dtype=torch.bfloat16, quantization_config=config)
    names = {type(module).__name__ for _, module in quantised.llm.model.named_modules()}
    assert ("Linear4bit" if bits == 4 else "Linear8bitLt") in names
    assert type(quantised.vpm.encoder.layers[0].mlp.fc1) is torch.nn.Linear
    assert type(quantised.llm.lm_head) is torch.nn.Linear
    assert greedy(quantised, load(model)[1])


@by_model
def test_a_published_int4_checkpoint_loads_as_it_is(model: str, tmp_path: Path) -> None:
    made = write_int4(model, tmp_path)
    assert any(name.endswith("fc1.weight.quant_state.bitsandbytes__nf4") for name in load_file(
        tmp_path / "model.safetensors"))  # fmt: skip
    loaded = AutoModel.from_pretrained(tmp_path)
    assert type(loaded.vpm.encoder.layers[0].mlp.fc1).__name__ == "Linear4bit"
    assert type(loaded.resampler.kv_proj) is torch.nn.Linear
    assert greedy(loaded, AutoTokenizer.from_pretrained(tmp_path)) == greedy(made, load(model)[1])


def test_config_files_that_disagree_are_named(copy: Any) -> None:
    folder = change_config(copy("minicpm-v-2_6"), use_image_id=False)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    with pytest.raises(CheckpointError, match="use_image_id"):
        greedy(model, AutoTokenizer.from_pretrained(folder))


@by_model
def test_logits_and_loss_of_a_processed_batch(model: str) -> None:
    loaded, _, _ = load(model)
    processor = AutoProcessor.from_pretrained(checkpoint(model))
    inputs = processor("(<image>./</image>)\nHello", Image.new("RGB", (200, 100)))
    labels = inputs["input_ids"].clone()
    output = loaded(**inputs, labels=labels)
    assert output.logits.shape == (1, labels.shape[1], loaded.config.vocab_size)
    assert output.loss.item() > 0
    assert loaded.generate(**inputs, max_new_tokens=3, do_sample=False).shape == (1, 3)


@by_model
def test_gradients_reach_every_part(model: str) -> None:
    loaded = AutoModel.from_pretrained(checkpoint(model), dtype=torch.float32).train()
    loaded.gradient_checkpointing_enable()
    processor = load(model)[2]
    inputs = processor("(<image>./</image>)\nHello", Image.new("RGB", (200, 100), "red"))
    loaded(**inputs, labels=inputs["input_ids"].clone()).loss.backward()
    without = [name for name, parameter in loaded.named_parameters() if parameter.grad is None]
    assert without == []


def test_placeholders_must_match_the_images() -> None:
    processor = load("minicpm-v-2_6")[2]
    with pytest.raises(RequestError, match=r"1 image placeholders .* for 0 images"):
        processor("(<image>./</image>)")


def test_the_int4_repository_of_2_5_says_less_of_itself(copy: Any) -> None:
    """No version, no preprocessor_config.json, no code, and so a tokenizer class of the library's."""
    whole = checkpoint("minicpm-llama3-v-2_5")
    folder = copy("minicpm-llama3-v-2_5")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    del config["version"]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "preprocessor_config.json").unlink()
    names = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    names = {key: value for key, value in names.items() if key != "auto_map"}
    names |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names), "utf-8")
    processor, expected = (AutoProcessor.from_pretrained(one) for one in (folder, whole))
    assert type(processor.tokenizer) is type(expected.tokenizer)
    for field in ("max_slice_nums", "scale_resolution", "patch_size", "image_feature_size", "use_image_id"):
        assert getattr(processor.image_processor, field) == getattr(expected.image_processor, field), field
    ids = expected.tokenizer("Hello , stop .")["input_ids"]
    assert processor.tokenizer.decode(ids) == expected.tokenizer.decode(ids)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    assert greedy(model, processor.tokenizer) == greedy(load("minicpm-llama3-v-2_5")[0], expected.tokenizer)
