"""Presets come from a family's defaults, and change how it is answered, not what is asked."""

from __future__ import annotations

import pytest

from app.backends.base import Capabilities
from app.errors import OptionError
from app.presets import shipped, to_values, use
from app.sampling import RARE, SamplingParams
from app.talks.reading import read_params
from app.ui.texts import TEXTS

FULL = Capabilities(
    model="M", beam_search=True, defaults={"temperature": 0.9, "beam.num_beams": 5}, hidden_options=RARE
)
SAMPLING = Capabilities(model="M", beam_search=False, hidden_options=frozenset())


def test_what_a_model_that_searches_has() -> None:
    presets = shipped(FULL, {})
    assert list(presets) == ["defaults", "precise", "beams", "creative"]
    assert presets["beams"]["num_beams"] == 5 and presets["creative"]["temperature"] == 1.2
    assert use("precise", FULL, {}, SamplingParams()).searching is False
    assert use("beams", FULL, {}, SamplingParams()).searching is True


def test_what_a_model_that_only_samples_has() -> None:
    presets = shipped(SAMPLING, {"do_sample": False})
    assert list(presets) == ["defaults", "precise", "creative", "thinking"]
    assert all(SamplingParams.of(values).do_sample for values in presets.values())
    assert use("precise", SAMPLING, {}, SamplingParams()).temperature == 0.01
    assert use("thinking", SAMPLING, {}, SamplingParams()).enable_thinking


def test_every_preset_can_be_used_and_has_a_name() -> None:
    for capabilities in (FULL, SAMPLING):
        for name in shipped(capabilities, {}):
            use(name, capabilities, {}, SamplingParams())
            assert f"preset_{name}" in TEXTS


def test_a_preset_keeps_what_is_asked_but_the_defaults_bring_all_back() -> None:
    now = SamplingParams(seed=7, system_prompt="Be short.", max_new_tokens=9, temperature=0.1)
    creative = use("creative", FULL, {"top_k": 40}, now)
    assert (creative.seed, creative.system_prompt, creative.max_new_tokens) == (7, "Be short.", 9)
    assert (creative.temperature, creative.top_p, creative.top_k) == (1.2, 0.95, 40)
    assert use("defaults", FULL, {}, now) == SamplingParams.of({}, FULL.defaults)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(OptionError, match="'wild' was asked; there are defaults, precise"):
        use("wild", FULL, {}, SamplingParams())


def test_what_is_kept_comes_back_and_what_was_changed_does_not() -> None:
    params = SamplingParams(temperature=0.3, seed=5, system_prompt="Short.")
    values = to_values(params)
    assert read_params(values) == params
    for wrong in ({**values, "temperature": 99}, {**values, "seed": "x"}, {"what": 1}, [1], "text", None):
        assert read_params(wrong) is None
