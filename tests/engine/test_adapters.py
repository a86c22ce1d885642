"""Adapters in a model: each answers as PEFT alone would, and the model alone answers as if there were none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from PIL import Image as PILImage
from torch import Tensor
from transformers import AutoModel

from app.engine.adapters import Adapters
from app.engine.loader import LoadedModel, load_model
from app.engine.plain import PlainEngine
from app.errors import AdapterError, OptionError
from app.messages import Image, Message
from app.settings import Settings
from tests.adapters import SHAPES, change_config, fresh, make, saved, trained, weights_of, write_weights
from tests.checkpoints import folder
from tests.engine.test_plain import GREEDY, text_of, wait

MODEL, OTHERS = "minicpm-v-2_6", ("minicpm-llama3-v-2_5", "minicpm-v-2")
PICTURE = [Message.of("user", Image(PILImage.linear_gradient("L").convert("RGB")), "What is in the image?")]
TEXT = [Message.of("user", "Write a short story about a cat and a mountain.")]
GREEDY_12 = replace(GREEDY, max_new_tokens=12)

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Folders of adapters, each written once."""
    root, done = tmp_path_factory.mktemp("adapters"), {}

    def get(shape: str, model: str = MODEL, seed: int = 0) -> Path:
        key = (shape, model, seed)
        if key not in done:
            done[key] = make(model, shape, root, seed)
        return done[key]

    return get


def loaded(model: str = MODEL, adapters: dict[str, Path] | None = None, **changes: Any) -> LoadedModel:
    folders = {name: str(path) for name, path in (adapters or {}).items()}
    options = {"device": "cpu", "dtype": "fp32"} | changes
    return load_model(Settings(model=str(folder(model)), adapters=folders, **options), lambda fraction, detail: None)


class Asker:
    """An engine and what it answers to a picture and to a text, by adapter."""

    def __init__(self, model: LoadedModel) -> None:
        self.engine = PlainEngine(model)

    def __call__(self, adapter: str = "") -> tuple[str, str]:
        params = replace(GREEDY_12, adapter=adapter)
        picture, text = (text_of(wait(self.engine.submit(messages, params))) for messages in (PICTURE, TEXT))
        return picture, text


@pytest.fixture
def asker() -> Iterator[Callable[[LoadedModel], Asker]]:
    askers: list[Asker] = []

    def start(model: LoadedModel) -> Asker:
        askers.append(Asker(model))
        return askers[-1]

    yield start
    for one in askers:
        one.engine.close()


@torch.no_grad()
def logits(model: Any) -> Tensor:
    """Of a prompt with a picture, for any member whose tower takes patches side by side."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randn(3, 14, 14 * 16, generator=generator)
    return model(
        input_ids=torch.arange(300, 400)[None],
        pixel_values=[[pixels]],
        tgt_sizes=[torch.tensor([[4, 4]])],
        image_bound=[torch.tensor([[10, 10 + model.config.query_num]])],
    ).logits


@pytest.mark.parametrize("shape", SHAPES)
def test_an_adapter_computes_what_peft_computes(made: Make, shape: str) -> None:
    path = made(shape)
    model = fresh(MODEL)
    alone = logits(model)
    adapters = Adapters(model, {"mine": str(path)})
    assert torch.equal(logits(model), alone)
    adapters.use("mine")
    with_adapter = logits(model)
    assert (with_adapter - alone).abs().max() > 0.01
    # Those that PEFT itself can read as they are.
    if shape in ("official", "official_vision", "ours", "ours_dora"):
        reference = PeftModel.from_pretrained(fresh(MODEL), path).eval()
        torch.testing.assert_close(with_adapter, logits(reference.base_model.model), rtol=0, atol=1e-6)
    adapters.use("")
    assert torch.equal(logits(model), alone)


def test_one_training_in_three_shapes_is_one_adapter(made: Make) -> None:
    def with_adapter(shape: str) -> Tensor:
        model = fresh(MODEL)
        Adapters(model, {"mine": str(made(shape))}).use("mine")
        return logits(model)

    assert torch.equal(with_adapter("official_early"), with_adapter("official_vision"))
    assert torch.equal(with_adapter("swift_own"), with_adapter("swift"))


def test_many_adapters_in_one_model_do_not_disturb_each_other(made: Make) -> None:
    folders = {shape: str(made(shape)) for shape in SHAPES} | {"second": str(made("official", seed=1))}
    wanted = {"": logits(fresh(MODEL))}
    for name, path in folders.items():
        model = fresh(MODEL)
        Adapters(model, {name: path}).use(name)
        wanted[name] = logits(model)
    model = fresh(MODEL)
    adapters = Adapters(model, folders)
    assert adapters.names == tuple(folders)
    for name in [*folders, "", *reversed(folders), "", "official", "ours", "second", "swift", ""]:
        adapters.use(name)
        assert torch.equal(logits(model), wanted[name]), name
    assert not torch.equal(wanted["official"], wanted["second"])


@pytest.mark.parametrize("model", [MODEL, *OTHERS])
def test_requests_name_their_adapter(made: Make, asker: Callable[..., Asker], model: str) -> None:
    folders = {"official": made("official", model), "swift": made("swift", model), "ours": made("ours", model)}
    without = asker(loaded(model))()
    ask = asker(loaded(model, folders))
    assert ask() == without
    first = {name: ask(name) for name in folders}
    assert len({without, *first.values()}) == 4
    for name in ("swift", "", "official", "ours", "", "swift"):
        assert ask(name) == (first[name] if name else without)


def test_a_resampler_trained_as_a_whole_is_seen_in_pictures_alone(tmp_path: Path, asker: Callable[..., Asker]) -> None:
    path = saved(tmp_path / "a", trained(MODEL, target_modules=["q_proj"], modules_to_save=["resampler"]))
    write_weights(path, {name: weight for name, weight in weights_of(path).items() if "resampler" in name})
    ask = asker(loaded(adapters={"eyes": path}))
    before, after = ask(), ask("eyes")
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert ask() == before


def test_weights_equal_to_the_models_own_are_not_held_twice(made: Make) -> None:
    adapters = Adapters(fresh(MODEL), {"swift": str(made("swift")), "official": str(made("official"))})
    assert adapters._parts["swift"] == []
    assert adapters._parts["official"]


def test_waiting_requests_of_several_adapters_each_get_their_own(made: Make, asker: Callable[..., Asker]) -> None:
    ask = asker(loaded(adapters={"a": made("official"), "b": made("ours")}))
    wanted = {name: ask(name)[1] for name in ("", "a", "b")}
    order = ["a", "", "b", "a", "b", ""]
    tickets = [ask.engine.submit(TEXT, replace(GREEDY_12, adapter=name)) for name in order]
    assert [text_of(wait(ticket)) for ticket in tickets] == [wanted[name] for name in order]


def test_an_unknown_adapter_is_an_error_and_the_engine_goes_on(made: Make, asker: Callable[..., Asker]) -> None:
    ask = asker(loaded(adapters={"a": made("ours")}))
    with pytest.raises(OptionError, match="got 'b', allowed is base, a"):
        ask("b")
    with pytest.raises(OptionError, match="allowed is base"):
        asker(loaded())("a")
    assert ask("a")


@pytest.mark.parametrize("dtype", ["int4", "int8", "bf16"])
def test_other_precisions(made: Make, asker: Callable[..., Asker], dtype: str) -> None:
    without = asker(loaded(dtype=dtype))()
    ask = asker(loaded(adapters={"official": made("official"), "ours": made("ours")}, dtype=dtype))
    first = {name: ask(name) for name in ("official", "ours")}
    assert ask() == without
    assert len({without, *first.values()}) == 3
    assert {name: ask(name) for name in first} == first


def split(tmp_path: Path) -> Any:
    """The last layer outside the device that computes it, as with --cpu-offload."""
    device_map = {name: "cpu" for name in ("vpm", "resampler", "llm.lm_head", "llm.model.embed_tokens")}
    device_map |= {"llm.model.norm": "cpu", "llm.model.rotary_emb": "cpu"}
    device_map |= {"llm.model.layers.0": "cpu", "llm.model.layers.1": "disk"}
    return AutoModel.from_pretrained(
        folder(MODEL), dtype=torch.float32, device_map=device_map, offload_folder=str(tmp_path / "off")
    )


@pytest.mark.parametrize("shape", ["official", "ours"])
def test_a_model_with_offloaded_layers(made: Make, tmp_path: Path, shape: str) -> None:
    whole = fresh(MODEL)
    alone = logits(whole)
    Adapters(whole, {"mine": str(made(shape))}).use("mine")
    model = split(tmp_path)
    adapters = Adapters(model, {"mine": str(made(shape))})
    for name, wanted in (("", alone), ("mine", logits(whole)), ("", alone)):
        adapters.use(name)
        torch.testing.assert_close(logits(model), wanted, rtol=0, atol=1e-6)


# --- what does not fit


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        ("minicpm-v-2", "ours", ["has no vpm.encoder.layers.0", "more"]),
        ("minicpm-v-2", "swift_own", ["lora_A.weight is [4, ", "allowed is [4, "]),
        ("minicpm-v-2", "official_vision", ["has no place for vpm."]),
        ("omnilmm-12b", "ours", ["has no llm.model.layers.0", "more"]),
        ("minicpm-llama3-v-2_5", "official", ["llm.model.embed_tokens.weight is [1154, 128], allowed is [1132, 128]"]),
    ],
)
def test_the_adapter_of_another_model(made: Make, model: str, shape: str, words: list[str]) -> None:
    with pytest.raises(AdapterError) as caught:
        loaded(model, {"mine": made(shape)})
    assert all(word in caught.value.message for word in ["'mine' does not fit", *words])
    assert "Load the model that it was made for (it says checkpoint)" in caught.value.hint


def test_a_rank_that_is_not_the_configs(tmp_path: Path) -> None:
    path = make(MODEL, "ours", tmp_path)
    change_config(path, r=8)
    with pytest.raises(AdapterError, match=r"is \[4, \d+\], allowed is \[8, \d+\]"):
        loaded(adapters={"mine": path})


def test_half_of_a_pair_is_missing(tmp_path: Path) -> None:
    path = make(MODEL, "ours", tmp_path)
    weights = weights_of(path)
    weights.pop(next(name for name in weights if "lora_B" in name))
    write_weights(path, weights)
    with pytest.raises(AdapterError, match=r"it lacks weights for .*lora_B"):
        loaded(adapters={"mine": path})


def test_a_module_that_takes_no_low_rank_weights(tmp_path: Path) -> None:
    path = make(MODEL, "ours", tmp_path)
    extra = {f"base_model.model.resampler.ln_q.lora_{part}.weight": torch.zeros(4, 4) for part in "AB"}
    write_weights(path, weights_of(path) | extra)
    with pytest.raises(AdapterError, match="cannot be put into this model"):
        loaded(adapters={"mine": path})


def test_a_quantised_part_cannot_be_replaced(tmp_path: Path) -> None:
    path = make(MODEL, "ours", tmp_path)
    weight = fresh(MODEL).state_dict()["llm.model.layers.0.mlp.up_proj.weight"] + 1
    write_weights(path, weights_of(path) | {"base_model.model.llm.model.layers.0.mlp.up_proj.weight": weight})
    assert loaded(adapters={"mine": path}).adapters.names == ("mine",)
    with pytest.raises(AdapterError, match="is quantised"):
        loaded(adapters={"mine": path}, dtype="int4")
