from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import nn

from app.errors import SettingsError, UnsupportedModelError
from app.families import all_families
from finetune.arguments import LoraArguments, ModelArguments
from finetune.lora import count_parameters, fixed_weights, lora_config, prepare, target_names, training_of
from tests.checkpoints import config_of, family_of
from tests.finetune.conftest import MUST, Tiny, tiny


def parts(**given: Any) -> ModelArguments:
    return ModelArguments(**({"tune_vision": False, "tune_llm": False} | given))


def fresh(name: str = "minicpm-v-2_6") -> Tiny:
    """A copy that may be changed."""
    one = tiny(name)
    return Tiny(one.name, copy.deepcopy(one.model), one.tokenizer, one.processor, one.family)


def test_families_that_must_train_declare_it() -> None:
    for name in MUST:
        assert training_of(family_of(name)).lora_layers
    for family in all_families():
        if family.training is None:
            with pytest.raises(UnsupportedModelError, match=family.name):
                training_of(family)


def test_targets_are_all_linear_layers_of_the_decoder(member: Tiny) -> None:
    names = target_names(member.model, training_of(member.family).lora_layers, None)
    kinds = {name.rsplit(".", 1)[1] for name in names}
    assert kinds == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert len(names) == 7 * config_of(member.name)["num_hidden_layers"]
    assert all(name.startswith("llm.model.layers.") for name in names)
    assert all(isinstance(member.model.get_submodule(name), nn.Linear) for name in names)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (r"llm\..*layers\.\d+\.self_attn\.(q_proj|k_proj|v_proj|o_proj)", 8),
        (r"llm\..*layers\.\d+\.self_attn\.(q_proj|k_proj|v_proj)", 6),
        ("q_proj,v_proj", 2 * (2 + 3)),
        ("mlp.up_proj", 2),
        ("resampler.kv_proj", 1),
    ],
)
def test_patterns(pattern: str, count: int) -> None:
    assert len(target_names(tiny("minicpm-v-2_6").model, (), pattern)) == count


@pytest.mark.parametrize(("pattern", "words"), [("nothing", "fits none"), ("(", "no regular expression")])
def test_patterns_that_fit_nothing(pattern: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        target_names(tiny("minicpm-v-2_6").model, (), pattern)


def test_layers_to_transform() -> None:
    one = fresh()
    lora = LoraArguments(use_lora=True, lora_layers_to_transform=[1], lora_r=2)
    tuned = prepare(one.model, training_of(one.family), parts(), lora)
    adapted = {name for name, _ in tuned.named_parameters() if "lora_A" in name}
    assert len(adapted) == 7 and all(".layers.1." in name for name in adapted)


@pytest.mark.parametrize(
    ("layers", "pattern", "words"), [([2, 9], None, "allowed is 0 to 1"), ([0], "blocks", "no such list")]
)
def test_layers_that_are_not_there(layers: list[int], pattern: str | None, words: str) -> None:
    one = tiny("minicpm-v-2_6")
    lora = LoraArguments(lora_layers_to_transform=layers, lora_layers_pattern=pattern)
    with pytest.raises(SettingsError, match=words):
        lora_config(one.model, training_of(one.family), parts(), lora)


def test_the_adapter_names_the_model_as_the_user_did(tmp_path: Path) -> None:
    for given, noted in (("owner/model", "owner/model"), (str(tmp_path), str(tmp_path.resolve()))):
        one = fresh()
        tuned = prepare(
            one.model, training_of(one.family), parts(model_name_or_path=given), LoraArguments(use_lora=True)
        )
        assert tuned.peft_config["default"].base_model_name_or_path == noted


def test_unknown_modules_to_save() -> None:
    one = tiny("minicpm-v-2_6")
    with pytest.raises(SettingsError, match="no module embeddings_of_tokens"):
        lora_config(
            one.model, training_of(one.family), parts(), LoraArguments(lora_modules_to_save="embeddings_of_tokens")
        )


@pytest.mark.parametrize("tuned", [True, False])
@pytest.mark.parametrize("name", MUST)
def test_lora_makes_only_the_adapter_and_the_resampler_trainable(name: str, tuned: bool) -> None:
    one = fresh(name)
    fixed = fixed_weights(one.model)
    assert fixed == ({"resampler.pos_embed"} if name == "minicpm-v-2" else set())
    model = prepare(
        one.model, training_of(one.family), parts(tune_resampler=tuned), LoraArguments(use_lora=True), fixed
    )
    assert isinstance(model, PeftModel)
    learning = {key for key, parameter in model.named_parameters() if parameter.requires_grad}
    lora = {key for key in learning if "lora_" in key}
    assert lora and bool(learning - lora) == tuned
    assert all("resampler.modules_to_save" in key for key in learning - lora)
    assert not any("pos_embed" in key for key in learning)
    counted, total = count_parameters(model)
    assert counted == sum(one.numel() for one in model.parameters() if one.requires_grad) < total


def test_a_new_adapter_changes_nothing_yet() -> None:
    one = fresh()
    ids = torch.arange(10)[None]
    before = one.model(input_ids=ids).logits
    prepare(one.model, training_of(one.family), parts(), LoraArguments(use_lora=True)).eval()
    assert torch.equal(one.model(input_ids=ids).logits, before)


def test_nothing_to_learn() -> None:
    one = fresh()
    with pytest.raises(SettingsError, match="No part of the model"):
        prepare(one.model, training_of(one.family), parts(tune_resampler=False), LoraArguments())
