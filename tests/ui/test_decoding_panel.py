"""Which controls are shown, what they start with, and what the decode type changes."""

from __future__ import annotations

import gradio as gr
import pytest

from app.backends.base import Capabilities
from app.errors import OptionError
from app.sampling import BY_NAME, OPTIONS
from app.ui.decoding_panel import CONTROLS, DecodingPanel, adapter_choices, applies
from app.ui.labels import make_label

EVERYTHING = Capabilities(model="Test", hidden_options=frozenset())


def build(capabilities: Capabilities = EVERYTHING, **overrides) -> DecodingPanel:
    with gr.Blocks():
        return DecodingPanel(capabilities, overrides, make_label())


def values_of(panel: DecodingPanel, **changed) -> list:
    names = ["do_sample", *(option.name for option in CONTROLS), *(["adapter"] if panel.adapter else [])]
    return [changed.get(name, control.value) for name, control in zip(names, panel.inputs, strict=True)]


def switch(panel: DecodingPanel, previous: str, mode: str, **changed) -> dict[str, dict]:
    _, *updates = panel._switch(previous, mode, *values_of(panel, **changed)[1:])
    return {option.name: update for option, update in zip(CONTROLS, updates, strict=True)}


def renewed(panel: DecodingPanel, capabilities: Capabilities, locale: str = "en", **changed) -> dict:
    """What `renew` gives a page with the values that the panel was built with, but for some."""
    shown = values_of(panel, **changed)
    names = [
        "presets",
        "previous",
        "do_sample",
        *(option.name for option in CONTROLS),
        *("adapter" for _ in panel.adapter),
    ]
    return dict(zip(names, panel.renew(capabilities, locale, [shown[0], *shown]), strict=True))


def visible_names(panel: DecodingPanel) -> set[str]:
    return {option.name for option, control in zip(CONTROLS, panel.inputs[1:], strict=True) if control.visible}


def test_every_option_has_a_control_with_its_default() -> None:
    panel = build()
    assert {option.name for option in CONTROLS} | {"do_sample"} == {option.name for option in OPTIONS}
    assert values_of(panel)[0] == "sampling"
    for option, control in zip(CONTROLS, panel.inputs[1:], strict=True):
        assert control.value == option.default, option.name


def test_only_what_applies_is_shown() -> None:
    assert visible_names(build()) == {option.name for option in CONTROLS} - {"num_beams"}


@pytest.mark.parametrize(
    ("capabilities", "hidden"),
    [
        (Capabilities(model="Test", video=False), "max_frames"),
        (Capabilities(model="Test", system_prompt=False), "system_prompt"),
        (Capabilities(model="Test", hidden_options=frozenset({"max_slice_nums"})), "max_slice_nums"),
    ],
)
def test_what_the_model_cannot_take_is_hidden(capabilities: Capabilities, hidden: str) -> None:
    assert hidden not in visible_names(build(capabilities))
    assert not applies(BY_NAME[hidden], "sampling", capabilities)


def test_no_decode_type_without_beam_search() -> None:
    assert build(Capabilities(model="Test", beam_search=False)).mode.visible is False


def test_beam_search_changes_what_is_shown_and_the_penalty() -> None:
    updates = switch(build(), "sampling", "beam")
    assert [name for name, update in updates.items() if not update["visible"]] == [
        "temperature",
        "top_p",
        "top_k",
        "seed",
    ]
    assert updates["repetition_penalty"]["value"] == 1.2
    assert "value" not in updates["max_new_tokens"]
    assert switch(build(), "beam", "sampling", repetition_penalty=1.2)["repetition_penalty"]["value"] == 1.05


def test_a_penalty_the_user_chose_stays() -> None:
    assert "value" not in switch(build(), "sampling", "beam", repetition_penalty=1.4)["repetition_penalty"]


def test_family_and_command_line_defaults() -> None:
    panel = build(Capabilities(model="Test", defaults={"temperature": 0.3, "top_k": 20}), top_k=50)
    start = dict(zip((option.name for option in CONTROLS), values_of(panel)[1:], strict=True))
    assert (start["temperature"], start["top_k"]) == (0.3, 50)
    assert switch(build(**{"beam.repetition_penalty": 1.1}), "sampling", "beam")["repetition_penalty"]["value"] == 1.1


def test_params_of_both_decode_types() -> None:
    panel = build()
    sampling = panel.params(values_of(panel, seed=" 7 ", temperature=0.2, num_beams=5))
    assert (sampling.do_sample, sampling.seed, sampling.temperature) == (True, 7, 0.2)
    assert sampling.num_beams == BY_NAME["num_beams"].default
    beam = panel.params(values_of(panel, do_sample="beam", num_beams=5, repetition_penalty=1.2))
    assert (beam.do_sample, beam.num_beams, beam.repetition_penalty) == (False, 5, 1.2)


def test_an_empty_seed_is_none() -> None:
    panel = build()
    assert panel.params(values_of(panel, seed="")).seed is None


@pytest.mark.parametrize("seed", ["seven", "-1", "1.5"])
def test_a_seed_that_is_no_number_is_refused(seed: str) -> None:
    panel = build()
    with pytest.raises(OptionError, match="seed: got"):
        panel.params(values_of(panel, seed=seed))


def test_what_only_some_families_have_is_hidden_unless_declared() -> None:
    assert {"enable_thinking", "downsample_mode"} & visible_names(build(Capabilities(model="Test"))) == set()
    declared = Capabilities(model="Test", hidden_options=frozenset({"enable_thinking"}))
    assert "downsample_mode" in visible_names(build(declared))


def test_switches_and_choices_are_read() -> None:
    panel = build()
    params = panel.params(values_of(panel, enable_thinking=True, downsample_mode="4x"))
    assert params.enable_thinking is True and params.downsample_mode == "4x"
    hidden = build(Capabilities(model="Test"))
    assert hidden.params(values_of(hidden, enable_thinking=True)).enable_thinking is False


def test_adapters_are_a_choice_that_begins_with_the_model_alone() -> None:
    panel = build(Capabilities(model="Test", adapters=("menu", "ocr")))
    values = values_of(panel)
    assert panel.inputs[-1] is panel.adapter[0]
    assert panel.adapter[0].value == "base"
    assert panel.params(values).adapter == ""
    assert panel.params([*values[:-1], "ocr"]).adapter == "ocr"


def test_without_adapters_there_is_no_choice() -> None:
    panel = build()
    assert panel.adapter == [] and panel.params(values_of(panel)).adapter == ""


def test_the_choices_in_both_languages() -> None:
    assert adapter_choices(["menu"], "en") == [("Base model", "base"), ("menu", "menu")]
    assert adapter_choices(["menu"], "zh") == [("基础模型", "base"), ("menu", "menu")]


def test_an_option_may_be_hidden_under_beam_search_alone() -> None:
    capabilities = Capabilities(model="Test", hidden_options=frozenset({"beam.repetition_penalty"}))
    assert applies(BY_NAME["repetition_penalty"], "sampling", capabilities)
    assert not applies(BY_NAME["repetition_penalty"], "beam", capabilities)
    assert not switch(build(capabilities), "sampling", "beam")["repetition_penalty"]["visible"]


def test_a_panel_is_renewed_once_more_is_known() -> None:
    panel = build(Capabilities(model="?", beam_search=False, hidden_options=frozenset({"top_k"})), temperature=0.3)
    assert "top_k" not in visible_names(panel)
    updates = renewed(panel, Capabilities(model="Test", defaults={"top_k": 7, "temperature": 0.9}))
    assert updates["do_sample"]["visible"] and updates["top_k"]["visible"] and updates["top_k"]["value"] == 7
    assert updates["temperature"]["value"] == 0.3
    assert "beams" in updates["presets"]
    assert panel.params(values_of(panel, top_k=9)).top_k == 9


def test_what_an_opened_conversation_brought_outlives_the_renewal() -> None:
    updates = renewed(build(), Capabilities(model="Test", defaults={"top_k": 7}), temperature=0.2)
    assert (updates["temperature"]["value"], updates["top_k"]["value"]) == (0.2, 7)


def test_a_renewal_chooses_the_decode_type_of_what_answers() -> None:
    searching = Capabilities(model="Test", defaults={"do_sample": False, "num_beams": 4})
    updates = renewed(build(), searching)
    assert updates["previous"] == updates["do_sample"]["value"] == "beam"
    assert updates["num_beams"]["visible"] and not updates["temperature"]["visible"]
    assert updates["repetition_penalty"]["value"] == 1.2
    back = renewed(build(searching), Capabilities(model="Test", beam_search=False))
    assert back["do_sample"]["value"] == "sampling" and back["temperature"]["visible"]


def test_a_page_that_knew_all_is_left_as_it_is() -> None:
    panel = build()
    untouched = panel.renew(EVERYTHING, "en", ["sampling", *values_of(panel)])
    assert untouched == [gr.skip()] * (len(panel.restored) + 1)


def test_adapters_that_come_with_the_engine_can_be_chosen() -> None:
    with gr.Blocks():
        panel = DecodingPanel(EVERYTHING, {}, make_label(), settled=False)
    assert panel.adapter[0].visible is False and panel.params(values_of(panel)).adapter == ""
    updates = renewed(panel, Capabilities(model="Test", adapters=("menu",)), locale="zh", adapter="gone")
    assert updates["adapter"]["visible"] and updates["adapter"]["value"] == "base"
    assert updates["adapter"]["choices"] == [("基础模型", "base"), ("menu", "menu")]
    assert panel.params(values_of(panel, adapter="menu")).adapter == "menu"
