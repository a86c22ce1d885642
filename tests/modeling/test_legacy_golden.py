"""Parity of MiniCPM-V 2.0, 1.0 and OmniLMM-12B with the official code on every golden case."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from app.modeling.processing import MiniCPMVProcessor
from tests.modeling.golden import KEPT_FEATURES, ROOT, checkpoint, load
from tests.modeling.legacy import LEGACY, WITH_CONTEXT, LegacyCase, answer_of, case_and_decoding, legacy_cases
from tests.modeling.test_golden import seen

every_case = pytest.mark.parametrize("case", legacy_cases(), ids=str)
every_answer = pytest.mark.parametrize(("case", "decoding"), case_and_decoding(), ids=str)


def test_all_cases_are_here() -> None:
    counts = {model: len(legacy_cases(model)) for model in LEGACY}
    assert counts == {"minicpm-v-2": 7, "minicpm-v-1": 6, "omnilmm-12b": 7}


@every_case
def test_prompt_ids_and_bounds(case: LegacyCase) -> None:
    processor = load(case.model)[2]
    with seen(processor, "expand") as expands:
        inputs = processor.chat_inputs([case.conversation()])
    assert expands[0][2] == case.expected["prompt"]
    assert inputs["input_ids"].tolist() == [case.expected["input_ids"]]
    assert inputs["image_bound"][0].tolist() == case.expected["image_bound"]


@every_case
def test_the_tokenizer_alone_gives_the_ids_too(case: LegacyCase) -> None:
    assert load(case.model)[1](case.expected["prompt"]).input_ids == case.expected["input_ids"]


@every_case
def test_slices_are_equal_bit_for_bit(case: LegacyCase) -> None:
    inputs = case.inputs()
    slices, sizes = inputs["pixel_values"][0], inputs["tgt_sizes"][0].tolist()
    assert len(slices) == len(sizes) == len(case.expected["slices"])
    for pixels, (rows, cols), wanted in zip(slices, sizes, case.expected["slices"], strict=True):
        assert list(pixels.shape) == wanted["pixels"]["shape"] == [3, rows * 14, cols * 14]
        assert hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest() == wanted["pixels"]["sha256_f32"]


@every_case
def test_vision_embeddings_and_logits(case: LegacyCase) -> None:
    model, inputs, tensors = load(case.model)[0], case.inputs(), case.tensors
    with torch.inference_mode():
        _, features = model.get_inputs_embeds(
            inputs["input_ids"], inputs["pixel_values"], inputs["tgt_sizes"], inputs["image_bound"]
        )
        logits = model(**inputs).logits[0, -1]
    torch.testing.assert_close(features[0][:, ::4], tensors[KEPT_FEATURES], atol=1e-4, rtol=0)
    torch.testing.assert_close(logits, tensors["prefill_last_logits"], atol=1e-4, rtol=0)


@every_answer
def test_answers(case: LegacyCase, decoding: str) -> None:
    model, tokenizer, _ = load(case.model)
    wanted, kwargs = case.expected[decoding], case.spec["chat_kwargs"][decoding]
    with seen(model.llm, "generate") as calls:
        result = model.chat(image=case.image, msgs=case.msgs(), tokenizer=tokenizer, **kwargs)
    assert calls[0][2].tolist() == [wanted["tokens"]]
    assert answer_of(result) == wanted["text"]
    if case.model not in WITH_CONTEXT:
        assert isinstance(result, str)
        return
    assert result[2] == wanted["generation_config_returned"]
    assert result[1] == [*case.msgs(), {"role": "assistant", "content": wanted["text"]}]
    if decoding == "greedy":
        assert result[1] == case.expected["context_returned_greedy"]


@pytest.mark.parametrize("case", legacy_cases(*WITH_CONTEXT), ids=str)
def test_the_callers_messages_are_changed_where_the_release_changed_them(case: LegacyCase) -> None:
    model, tokenizer, _ = load(case.model)
    msgs = case.msgs()
    kwargs = case.spec["chat_kwargs"]["greedy"]
    _, context, _ = model.chat(image=case.image, msgs=msgs, context=None, tokenizer=tokenizer, **kwargs)
    assert (msgs != case.msgs()) is case.expected["msgs_mutated_by_chat"]
    assert (context is msgs) is case.expected["msgs_mutated_by_chat"]


# The release's library counts a BOS in front of each answer as generated, and so penalises a second one.
WITHOUT_BOS = [case for case in legacy_cases() if 1 not in case.expected["beam"]["tokens"]]


@pytest.mark.parametrize("case", WITHOUT_BOS, ids=str)
def test_beam_scores(case: LegacyCase) -> None:
    output = load(case.model)[0].generate(
        **case.inputs(),
        max_new_tokens=24,
        num_beams=3,
        repetition_penalty=1.2,
        return_dict_in_generate=True,
        output_scores=True,
    )
    assert output.sequences_scores.item() == pytest.approx(case.expected["beam"]["sequences_score"], abs=1e-4)


def settings_of(model: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, Any]:
    """What `model.chat` asks of generation, no answer being made."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(load(model)[0], "answer", lambda *args, **settings: (asked.append(settings), "yes")[1])
    load(model)[0].chat(image=None, msgs=[{"role": "user", "content": "Hi"}], **options)
    return asked[0]


@pytest.mark.parametrize("model", WITH_CONTEXT)
def test_published_defaults_of_chat(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = json.loads((ROOT / model / "defaults.json").read_text())
    sampling, beam = defaults["sampling_true"], defaults["sampling_false"]
    limit = {"max_new_tokens": defaults["chat_defaults"]["max_new_tokens"]}
    by_default = sampling if defaults["chat_defaults"]["sampling"] else beam
    assert settings_of(model, monkeypatch) == by_default | limit
    assert settings_of(model, monkeypatch, sampling=True) == sampling | limit
    assert settings_of(model, monkeypatch, sampling=False, top_p=0.1) == beam | limit
    hotter = settings_of(model, monkeypatch, sampling=True, num_beams=5, temperature=0.3, max_new_tokens=7)
    assert hotter == sampling | {"temperature": 0.3, "max_new_tokens": 7}


def test_published_defaults_of_omnilmm(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = json.loads((ROOT / "omnilmm-12b" / "defaults.json").read_text())["chat.py"]
    assert settings_of("omnilmm-12b", monkeypatch) == defaults
    assert settings_of("omnilmm-12b", monkeypatch, top_k=1, num_beams=3) == defaults | {"top_k": 1}
    greedy = {"num_beams": 1, "repetition_penalty": 1.0, "max_new_tokens": 1024}
    assert settings_of("omnilmm-12b", monkeypatch, sampling=False) == greedy
    assert settings_of("omnilmm-12b", monkeypatch, do_sample=False) == greedy


def test_slice_table() -> None:
    rows = json.loads((ROOT / "minicpm-v-2" / "slice_table.json").read_text())
    assert len(rows) == 231
    for row in rows:
        plan = load("minicpm-v-2")[2].image_processor.plan(tuple(row["size"]))
        assert list(plan.overview) == row["source"], row
        assert (list(plan.grid) if plan.grid else None) == row["grid_cols_rows"], row
        cols = plan.grid[0] if plan.grid else 1
        cells = [list(size) for size in plan.sizes[1:]]
        assert [cells[at : at + cols] for at in range(0, len(cells), cols)] == row["patches"], row


@pytest.mark.parametrize("model", LEGACY)
def test_weight_names_are_the_official_ones(model: str) -> None:
    lines = (ROOT / model / "weight_names.txt").read_text().splitlines()
    wanted = {name: json.loads(shape) for name, shape in (line.split("\t") for line in lines)}
    assert {name: list(weight.shape) for name, weight in load(model)[0].state_dict().items()} == wanted


@pytest.mark.parametrize("model", LEGACY)
def test_a_checkpoint_that_only_knows_its_folder(model: str) -> None:
    loaded = AutoModel.from_pretrained(checkpoint(model))
    assert loaded.dtype == torch.float32
    case = LegacyCase(model, "pub_single_small")
    kwargs = case.spec["chat_kwargs"]["greedy"]
    answer = answer_of(loaded.chat(image=case.image, msgs=json.dumps(case.msgs()), **kwargs))
    assert answer == case.expected["greedy"]["text"]


@pytest.mark.parametrize("model", LEGACY)
def test_features_made_before_give_the_same_answer(model: str) -> None:
    loaded, tokenizer, _ = load(model)
    case = LegacyCase(model, "pub_single_small")
    inputs = case.inputs()
    with torch.inference_mode():
        _, features = loaded.get_inputs_embeds(
            inputs["input_ids"], inputs["pixel_values"], inputs["tgt_sizes"], inputs["image_bound"]
        )
    kwargs = case.spec["chat_kwargs"]["greedy"]
    with seen(loaded, "encode_vision") as encoded:
        answer = answer_of(
            loaded.chat(
                image=case.image, msgs=case.msgs(), tokenizer=tokenizer, vision_hidden_states=features, **kwargs
            )
        )
    assert answer == case.expected["greedy"]["text"]
    assert encoded == []


def test_processor_classes(tmp_path: Path) -> None:
    for model in LEGACY:
        processor = MiniCPMVProcessor.from_pretrained(checkpoint(model))
        assert isinstance(processor, MiniCPMVProcessor)
        processor.save_pretrained(tmp_path / model)
        again = AutoTokenizer.from_pretrained(tmp_path / model, config=load(model)[0].config)
        prompt = LegacyCase(model, "pub_chinese").expected["prompt"]
        assert again(prompt).input_ids == load(model)[1](prompt).input_ids
