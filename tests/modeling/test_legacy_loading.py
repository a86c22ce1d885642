"""MiniCPM-V 2.0, 1.0 and OmniLMM-12B load strictly; what contradicts what is known of them is named."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoProcessor, AutoTokenizer, BitsAndBytesConfig

from app.engine.spread import spread
from app.errors import CheckpointError, UnsupportedModelError
from app.families import all_families
from app.modeling.auto import find_member
from app.modeling.timm_vision import TimmVisionConfig
from tests.modeling.golden import ROOT, change_config, checkpoint, load
from tests.modeling.legacy import LEGACY, LegacyCase, answer_of, legacy_cases

by_model = pytest.mark.parametrize("model", LEGACY)
NAMES = {"minicpm-v-2": "MiniCPM-V 2.0", "minicpm-v-1": "MiniCPM-V 1.0", "omnilmm-12b": "OmniLMM-12B"}
# The published config.json of 2.0 and the reconstructed one of 1.0, in the fields that tell them apart.
PUBLISHED = {"model_type": "minicpmv", "architectures": ["MiniCPMV"], "vision_encoder": "vit_so400m_patch14_siglip_384"}
SLICING = {"slice_mode": True, "max_slice_nums": 9, "scale_resolution": 448, "patch_size": 14}


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def rewrite(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    """The folder with these weights as its only ones."""
    for path in [*folder.glob("*.safetensors"), *folder.glob("*.index.json")]:
        path.unlink()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def greedy_answer(folder: Path, case: LegacyCase, **options: Any) -> str:
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, **options)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    kwargs = case.spec["chat_kwargs"]["greedy"]
    return answer_of(model.chat(image=case.image, msgs=case.msgs(), tokenizer=tokenizer, **kwargs))


@by_model
def test_recognised_by_its_config_alone(model: str) -> None:
    config = json.loads((checkpoint(model) / "config.json").read_text())
    assert find_member(all_families(), config).name == NAMES[model]


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (PUBLISHED | SLICING, "MiniCPM-V 2.0"),
        (PUBLISHED, "MiniCPM-V 1.0"),
        (PUBLISHED | SLICING | {"version": "2.6"}, "MiniCPM-V 2.6"),
        (PUBLISHED | SLICING | {"version": "2.5"}, "MiniCPM-Llama3-V 2.5"),
        ({"model_type": "omnilmm"}, "OmniLMM-12B"),
    ],
)
def test_members_are_told_apart(config: dict[str, Any], name: str) -> None:
    matching = [family.name for family in all_families() if family.recognises(config)]
    assert matching == [name]


@pytest.mark.parametrize(
    "config", [{"model_type": "minicpmv"}, PUBLISHED | {"version": 3}, {"model_type": "minicpmv", "slice_mode": True}]
)
def test_an_unknown_member_lists_the_known_ones(copy: Any, config: dict[str, Any]) -> None:
    folder = copy("minicpm-v-2")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError) as caught:
        AutoModel.from_pretrained(folder)
    assert all(name in str(caught.value) for name in NAMES.values())


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        ("minicpm-v-2", "vision_encoder", "vit_large_patch16"),
        ("minicpm-v-2", "slice_mode", False),
        ("minicpm-v-2", "mm_use_im_start_end", False),
        ("minicpm-v-2", "patch_size", 16),
        ("minicpm-v-2", "query_num", 60),
        ("minicpm-v-2", "query_num", 49),
        ("minicpm-v-1", "vision_encoder", "vit_large_patch16"),
        ("minicpm-v-1", "image_size", 450),
        ("minicpm-v-1", "patch_size", 14),
        ("minicpm-v-1", "scale_resolution", 448),
        ("minicpm-v-1", "query_num", 36),
        ("omnilmm-12b", "num_query", 144),
        ("omnilmm-12b", "image_size", 450),
        ("omnilmm-12b", "tune_clip", False),
        ("omnilmm-12b", "mm_use_im_start_end", False),
    ],
)
@pytest.mark.parametrize("loader", [AutoModel, AutoModelForCausalLM])
def test_a_contradicting_field_is_named(copy: Any, model: str, field: str, value: Any, loader: Any) -> None:
    folder = change_config(copy(model), **{field: value})
    with pytest.raises(CheckpointError, match=field):
        loader.from_pretrained(folder)


@by_model
def test_a_missing_weight_is_an_error_that_names_it(model: str, copy: Any) -> None:
    folder = copy(model)
    weights = weights_of(folder)
    for gone in (sorted(weights)[0], next(name for name in weights if name.endswith("blocks.1.attn.proj.bias"))):
        rest = {name: tensor for name, tensor in weights.items() if name != gone}
        with pytest.raises(CheckpointError, match=gone):
            AutoModel.from_pretrained(rewrite(folder, rest))


@by_model
def test_a_surplus_weight_is_an_error_that_names_it(model: str, copy: Any) -> None:
    folder = copy(model)
    last = next(name for name in weights_of(folder) if name.endswith("blocks.1.norm1.bias")).replace("s.1.", "s.2.")
    rewrite(folder, weights_of(folder) | {last: torch.zeros(72)})
    with pytest.raises(CheckpointError, match=rf"unexpected.*{last}"):
        AutoModel.from_pretrained(folder)


@by_model
def test_a_tower_of_unknown_width_asks_for_its_heads(model: str, copy: Any) -> None:
    folder = copy(model)
    weights = weights_of(folder)
    name = next(name for name in weights if name.endswith(("vpm.norm.weight", "vision_tower.norm.weight")))
    rewrite(folder, weights | {name: torch.ones(96)})
    with pytest.raises(CheckpointError, match=r"96 wide .* vision_config"):
        AutoModel.from_pretrained(folder)


@by_model
def test_the_towers_shape_may_stand_in_config_json(model: str, copy: Any) -> None:
    folder = copy(model)
    published = type(load(model)[0].config.vision_config)
    shape = next(known for known in published.known if known["hidden_size"] < 100)
    halved = shape | {"num_attention_heads": shape["num_attention_heads"] // 2}
    case = LegacyCase(model, "pub_single_small")
    assert greedy_answer(change_config(folder, vision_config=shape), case) == case.expected["greedy"]["text"]
    loaded = AutoModel.from_pretrained(change_config(folder, vision_config=halved))
    assert loaded.vpm.blocks[0].attn.num_heads == halved["num_attention_heads"]


@by_model
def test_a_description_beside_the_weights_is_read(model: str, copy: Any) -> None:
    """The golden folders have one, for checkpoints whose width is not among the known ones."""
    from app.modeling import tower_shape

    fields = json.loads((ROOT / model / "tiny_vision.json").read_text())
    folder = copy(model)
    (folder.parent / "tiny_vision.json").write_text(json.dumps(fields | {"embed_dim": 96, "num_heads": 3}))
    found = tower_shape.tower_config(TimmVisionConfig, folder, "none")
    assert found.num_attention_heads == 16
    rewrite(folder, {"norm": torch.zeros(96)})
    found = tower_shape.tower_config(TimmVisionConfig, folder, "norm")
    assert (found.hidden_size, found.num_attention_heads) == (96, 3)
    assert found.intermediate_size == fields["mlp_hidden"]


@by_model
def test_pickled_weights_load_and_answer_the_same(model: str, copy: Any) -> None:
    folder = copy(model)
    torch.save(weights_of(folder), folder / "pytorch_model.bin")
    for path in [*folder.glob("*.safetensors"), *folder.glob("*.index.json")]:
        path.unlink()
    case = LegacyCase(model, "pub_single_small")
    assert greedy_answer(folder, case) == case.expected["greedy"]["text"]


class Harmful:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@by_model
def test_pickled_code_is_not_run(model: str, copy: Any, tmp_path: Path) -> None:
    folder = copy(model)
    for path in [*folder.glob("*.safetensors"), *folder.glob("*.index.json")]:
        path.unlink()
    trap = tmp_path / "touched"
    torch.save({"x": Harmful(trap)}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="more than tensors"):
        AutoModel.from_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Harmful(trap)}))
    with pytest.raises(CheckpointError, match="more than tensors"):
        AutoModel.from_pretrained(folder)
    assert not trap.exists()


@by_model
def test_saved_and_loaded_again_it_answers_the_same(model: str, tmp_path: Path) -> None:
    original, _, processor = load(model)
    original.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert set(load_file(tmp_path / "model.safetensors")) == set(weights_of(checkpoint(model)))
    saved = json.loads((tmp_path / "config.json").read_text())
    published = json.loads((checkpoint(model) / "config.json").read_text())
    assert find_member(all_families(), saved).name == NAMES[model]
    for key in ("model_type", "hidden_size", "query_num", "num_query", "scale_emb", "dim_model_base", "slice_mode"):
        assert saved.get(key, published.get(key)) == published.get(key)
    case = LegacyCase(model, "pub_multi_turn")
    assert greedy_answer(tmp_path, case) == case.expected["greedy"]["text"]


@by_model
def test_eager_attention_gives_the_same_answer(model: str) -> None:
    case = LegacyCase(model, "pub_single_small")
    answer = greedy_answer(checkpoint(model), case, attn_implementation="eager")
    assert answer == case.expected["greedy"]["text"]


@by_model
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_fp32(model: str, dtype: torch.dtype) -> None:
    half = AutoModel.from_pretrained(checkpoint(model), dtype=dtype)
    case = LegacyCase(model, "pub_single_large")
    with torch.inference_mode():
        got = half(**case.inputs()).logits[0, -1].float()
    assert half.dtype == dtype
    wanted = case.tensors["prefill_last_logits"]
    assert torch.nn.functional.cosine_similarity(got, wanted, dim=0) > 0.99


def widened(folder: Path) -> Path:
    """The same model with hidden units that do nothing: 4-bit blocks on a CPU need a width divisible by 64."""
    weights = weights_of(folder)
    for name, tensor in weights.items():
        if name.endswith(("gate_proj.weight", "up_proj.weight")):
            weights[name] = torch.cat([tensor, torch.zeros(32, tensor.shape[1])])
        elif name.endswith("down_proj.weight"):
            weights[name] = torch.cat([tensor, torch.zeros(len(tensor), 32)], dim=1)
    return change_config(rewrite(folder, weights), intermediate_size=192)


@by_model
@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_on_the_fly(model: str, bits: int, copy: Any) -> None:
    family = find_member(all_families(), load(model)[0].config.to_dict())
    config = BitsAndBytesConfig(
        load_in_4bit=bits == 4,
        load_in_8bit=bits == 8,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=list(family.int4_skip_modules),
    )
    folder = widened(copy(model))
    quantised = AutoModel.from_pretrained(folder, dtype=torch.bfloat16, quantization_config=config)
    kinds = {type(module).__name__ for module in quantised.get_decoder().modules()}
    assert ("Linear4bit" if bits == 4 else "Linear8bitLt") in kinds
    assert type(quantised.vpm.blocks[0].mlp.fc1) is torch.nn.Linear
    assert type(quantised.resampler.attn.out_proj) is torch.nn.Linear
    assert type(quantised.llm.lm_head) is torch.nn.Linear
    case = LegacyCase(model, "pub_single_small")
    assert answer_of(quantised.chat(image=case.image, msgs=case.msgs(), sampling=False, max_new_tokens=4))


@by_model
def test_gradients_reach_every_part(model: str) -> None:
    loaded = AutoModel.from_pretrained(checkpoint(model), dtype=torch.float32).train()
    loaded.gradient_checkpointing_enable()
    inputs = LegacyCase(model, "pub_single_small").inputs()
    loaded(**inputs, labels=inputs["input_ids"].clone()).loss.backward()
    without = {name for name, parameter in loaded.named_parameters() if parameter.grad is None}
    assert {name.rpartition(".")[2] for name in without} <= {"pos_embed"}


@by_model
def test_a_new_model_has_finite_weights(model: str) -> None:
    config = AutoConfig.from_pretrained(checkpoint(model))
    shape = load(model)[0].config.vision_config.to_dict()
    config.vision_config = type(load(model)[0].config.vision_config)(
        **{key: shape[key] for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")}
    )
    made = type(load(model)[0])(config)
    assert all(torch.isfinite(weight).all() and weight.abs().max() < 100 for weight in made.state_dict().values())


def test_text_embeddings_are_scaled_and_image_features_are_not() -> None:
    model = load("minicpm-v-2")[0]
    case = LegacyCase("minicpm-v-2", "pub_single_small")
    inputs = case.inputs()
    embeds, features = model.get_inputs_embeds(
        inputs["input_ids"], inputs["pixel_values"], inputs["tgt_sizes"], inputs["image_bound"]
    )
    start, end = inputs["image_bound"][0][0].tolist()
    torch.testing.assert_close(embeds[0, start:end], features[0][0])
    weight = model.state_dict()["llm.model.embed_tokens.weight"]
    torch.testing.assert_close(embeds[0, end:], weight[inputs["input_ids"][0, end:]] * 12)


def test_resized_embeddings_stay_scaled() -> None:
    model = AutoModel.from_pretrained(checkpoint("minicpm-v-2"), dtype=torch.float32)
    ids = torch.arange(5)[None]
    before = model.get_input_embeddings()(ids)
    model.resize_token_embeddings(700)
    torch.testing.assert_close(model.get_input_embeddings()(ids), before)


@by_model
def test_a_config_read_from_a_folder_knows_its_tower(model: str) -> None:
    """Sizes are estimated and devices chosen before the weights are loaded."""
    config = AutoConfig.from_pretrained(checkpoint(model))
    assert config.vision_config.hidden_size < 100
    assert type(config).from_dict({}).vision_config is None


@by_model
def test_layers_may_lie_elsewhere(model: str, tmp_path: Path) -> None:
    original = load(model)[0]
    device_map = spread(original, original.get_decoder(), {0: 10**9}, torch.float32)
    last = max(name for name in device_map if ".layers." in name)
    places = dict.fromkeys(device_map, "cpu") | {last: "disk"}
    case = LegacyCase(model, "pub_single_small")
    answer = greedy_answer(checkpoint(model), case, device_map=places, offload_folder=str(tmp_path))
    assert answer == case.expected["greedy"]["text"]


@pytest.mark.parametrize("name", ["LlamaTokenizerWrapper", "MiniCPMVTokenizer"])
def test_the_tokenizer_is_found_under_all_its_names(copy: Any, name: str) -> None:
    folder = change_tokenizer(copy("minicpm-v-2"), name)
    case = LegacyCase("minicpm-v-2", "pub_chinese")
    assert AutoTokenizer.from_pretrained(folder)(case.expected["prompt"]).input_ids == case.expected["input_ids"]


def test_another_tokenizer_is_an_error_that_names_the_field(copy: Any) -> None:
    folder = change_tokenizer(copy("minicpm-v-2"), "LlamaTokenizer")
    with pytest.raises(CheckpointError, match="tokenizer_class"):
        greedy_answer(folder, LegacyCase("minicpm-v-2", "pub_single_small"))


def test_a_missing_vocabulary_is_named(copy: Any) -> None:
    folder = copy("minicpm-v-1")
    (folder / "tokenizer.model").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is missing"):
        AutoTokenizer.from_pretrained(folder)


def change_tokenizer(folder: Path, name: str) -> Path:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": name}))
    return folder


@pytest.mark.parametrize("case", legacy_cases("omnilmm-12b"), ids=str)
def test_omnilmm_without_tokenizer_json_as_it_is_published(case: LegacyCase, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint("omnilmm-12b"), tmp_path / "model"))
    (folder / "tokenizer.json").unlink()
    processor, expected = (AutoProcessor.from_pretrained(one) for one in (folder, checkpoint("omnilmm-12b")))
    given = case.conversation()
    ids, wanted = (one.apply_chat_template([given], tokenize=True) for one in (processor, expected))
    assert torch.equal(ids["input_ids"], wanted["input_ids"])
