"""A model over several devices, by fake budgets, and really run over two that this machine has."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate.utils import compute_module_sizes
from transformers import AutoConfig, AutoModel

from app.engine.spread import GIB, spread
from app.errors import DeviceError
from tests.modeling.golden import MODELS, checkpoint, load

by_model = pytest.mark.parametrize("model", MODELS)
LAYERS = 7


def empty_model(model: str) -> Any:
    """A model of the tiny shape with more layers, without memory for its weights."""
    config = AutoConfig.from_pretrained(checkpoint(model))
    config.num_hidden_layers = LAYERS
    if getattr(config, "layer_types", None):
        config.layer_types = ["full_attention"] * LAYERS
    with torch.device("meta"):
        return AutoModel.from_config(config, dtype=torch.float32)


def sizes(model: Any) -> tuple[int, int]:
    """Bytes of all that is no layer, and of one layer."""
    layers = compute_module_sizes(model.get_decoder().layers)
    return compute_module_sizes(model)[""] - layers[""], layers["0"]


def places(model: Any, budgets: dict[int | str, int], **options: Any) -> dict[str, Any]:
    return spread(model, model.get_decoder(), budgets, torch.float32, **options)


@by_model
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_layers_follow_in_order_over_any_number_of_devices(model: str, count: int) -> None:
    empty = empty_model(model)
    fixed, layer = sizes(empty)
    share = -(-LAYERS // count) + 1
    budgets: dict[int | str, int] = {0: fixed + share * layer} | {index: share * layer for index in range(1, count)}
    if count == 1:
        budgets = {0: fixed + (LAYERS + 2) * layer}
    device_map = places(empty, budgets)
    order = [device_map[f"llm.model.layers.{index}"] for index in range(LAYERS)]
    assert order == sorted(order)
    assert order[0] == 0
    assert len(set(order)) == min(count, len(set(order))) and (count == 1 or len(set(order)) > 1)
    for part in ("vpm", "resampler", "llm.model.embed_tokens", "llm.lm_head", "llm.model.norm"):
        assert device_map[part] == 0


@by_model
def test_the_map_names_every_weight_once(model: str) -> None:
    empty = empty_model(model)
    fixed, layer = sizes(empty)
    device_map = places(empty, {0: fixed + 3 * layer, 1: 20 * layer})
    for name in empty.state_dict():
        owners = [part for part in device_map if name == part or name.startswith(part + ".")]
        assert len(owners) == 1, name


@by_model
def test_nothing_goes_to_the_cpu_unless_allowed(model: str) -> None:
    empty = empty_model(model)
    fixed, layer = sizes(empty)
    small: dict[int | str, int] = {0: fixed + 2 * layer, 1: 2 * layer}
    with pytest.raises(DeviceError) as caught:
        places(empty, small)
    assert f"{(fixed + LAYERS * layer) / GIB:.2f} GiB" in caught.value.message
    assert "--cpu-offload" in caught.value.hint
    device_map = places(empty, {**small, "cpu": 100 * layer})
    assert {device_map[f"llm.model.layers.{index}"] for index in range(LAYERS)} == {0, 1, "cpu"}


@by_model
def test_a_first_device_without_room_for_the_tower_is_an_error_with_sizes(model: str) -> None:
    empty = empty_model(model)
    fixed, layer = sizes(empty)
    with pytest.raises(DeviceError, match="on the first device"):
        places(empty, {0: fixed - 1, 1: 100 * layer})


@by_model
def test_int4_layers_count_a_quarter_of_int16(model: str) -> None:
    empty = empty_model(model)
    fixed, layer = sizes(empty)
    quarter = layer // 8  # fp32 to 4 bits
    budgets: dict[int | str, int] = {0: fixed + 2 * quarter, 1: LAYERS * quarter + layer // 4}
    with pytest.raises(DeviceError):
        places(empty, budgets)
    assert places(empty, budgets, quantization="int4")


@by_model
def test_a_split_model_answers_the_same(model: str) -> None:
    """Two devices that a machine without GPUs has: the CPU, and the CPU as a place for offloaded layers."""
    whole, tokenizer, _ = load(model)
    device_map = {name: "cpu" for name in ("vpm", "resampler", "llm.lm_head", "llm.model.embed_tokens")}
    device_map |= {"llm.model.norm": "cpu", "llm.model.rotary_emb": "cpu"}
    device_map |= {"llm.model.layers.0": "cpu", "llm.model.layers.1": "disk"}
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        split = AutoModel.from_pretrained(
            checkpoint(model), dtype=torch.float32, device_map=device_map, offload_folder=folder
        )
        question = [{"role": "user", "content": "Hello, what is this?"}]
        options = {"sampling": False, "num_beams": 1, "max_new_tokens": 12}
        assert split.chat(msgs=question, tokenizer=tokenizer, **options) == whole.chat(
            msgs=question, tokenizer=tokenizer, **options
        )
