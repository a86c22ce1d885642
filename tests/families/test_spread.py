"""Every family can be spread over devices: the pieces are found from the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import compute_module_sizes
from transformers import AutoConfig

from app.engine.spread import spread
from app.families import all_families
from app.modeling.auto import find_member
from tests.checkpoints import CHECKPOINTS, folder
from tests.families.tiny_native import NAMES


def place_of(name: str, device_map: dict[str, Any]) -> Any:
    """The device of a weight by the longest part that holds it."""
    parts = [part for part in device_map if name == part or name.startswith(part + ".")]
    assert parts, f"{name} has no place"
    return device_map[max(parts, key=len)]


@pytest.mark.parametrize("name", [*CHECKPOINTS, *NAMES])
def test_what_pictures_touch_is_on_the_first_device(name: str, checkpoints: dict[str, Path]) -> None:
    config = AutoConfig.from_pretrained(checkpoints[name] if name in NAMES else folder(name))
    family: Any = find_member(all_families(), config.to_dict())
    with torch.device("meta"):
        model = family.model_class._from_config(config, dtype=torch.float32)
    decoder = model.get_decoder()
    layers = compute_module_sizes(decoder.layers)
    rest = compute_module_sizes(model)[""] - layers[""]
    last = layers[str(len(decoder.layers) - 1)]
    # Room for all but the last layer on the first device.
    device_map = spread(model, decoder, {0: rest + layers[""] - last, 1: 10 * layers[""]}, torch.float32)
    prefix = next(part for part, module in model.named_modules() if module is decoder.layers)
    ordinary = [key for key in model.state_dict() if not key.startswith(prefix)]
    assert {place_of(key, device_map) for key in ordinary} == {0}
    places = [device_map[f"{prefix}.{index}"] for index in range(len(decoder.layers))]
    assert places == sorted(places)
    assert places[0] == 0 and places[-1] == 1
