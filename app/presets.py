"""Decoding presets: those that come with every model, made from the defaults of its family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.errors import OptionError
from app.sampling import BY_NAME, SamplingParams, default_of
from app.texts import Phrase, listed

if TYPE_CHECKING:
    from app.backends.base import Capabilities

DEFAULTS = "defaults"  # the preset that brings everything back
# What the other presets leave as it is: it says what is asked, not how it is answered.
KEPT = ("max_new_tokens", "seed", "max_slice_nums", "max_frames", "system_prompt", "downsample_mode")
TWO_BEAMS = 2  # the fewest that search
WARMER = 0.3  # than the family's own temperature, and never below 1


def shipped(capabilities: Capabilities, overrides: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The presets of a model by name, as options that differ from its defaults.

    Args:
        overrides: defaults that win over the family's.
    """
    defaults = {**capabilities.defaults, **overrides}
    start = {"do_sample": defaults.get("do_sample", True) or not capabilities.beam_search}
    presets: dict[str, dict[str, Any]] = {DEFAULTS: start}
    if capabilities.beam_search:
        beams = max(TWO_BEAMS, default_of(BY_NAME["num_beams"], "beam", defaults))
        presets["precise"] = {"do_sample": False, "num_beams": 1}
        presets["beams"] = {"do_sample": False, "num_beams": beams}
    else:
        presets["precise"] = {"do_sample": True, "temperature": BY_NAME["temperature"].minimum, "top_p": 0.1}
    warmth = default_of(BY_NAME["temperature"], "sampling", defaults) + WARMER
    presets["creative"] = {"do_sample": True, "temperature": round(min(2.0, max(1.0, warmth)), 2), "top_p": 0.95}
    if "enable_thinking" not in capabilities.hidden_options:
        presets["thinking"] = {**start, "enable_thinking": True}
    return presets


def use(name: str, capabilities: Capabilities, overrides: Mapping[str, Any], now: SamplingParams) -> SamplingParams:
    """The options under a preset of `shipped`.

    Args:
        now: the options of the page.

    Raises:
        OptionError: there is no such preset.
    """
    presets = shipped(capabilities, overrides)
    if name not in presets:
        raise OptionError(Phrase("preset_unknown", name=name, known=listed(list(presets), "list_comma")))
    params = SamplingParams.of(presets[name], {**capabilities.defaults, **overrides})
    return params if name == DEFAULTS else replace(params, **{option: getattr(now, option) for option in KEPT})


def to_values(params: SamplingParams) -> dict[str, Any]:
    """What is kept of options as a preset of the user's own: all that the panel shows."""
    return {name: getattr(params, name) for name in BY_NAME}
