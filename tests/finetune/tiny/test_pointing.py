"""One attention head learns to look at what a question asks for."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers.models.qwen2.modeling_qwen2 import apply_rotary_pos_emb

from finetune.tiny import embedded, learn, lessons
from finetune.tiny.canvas import Thing
from finetune.tiny.looks import RESTING, Look, covered
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.pointing import EARLY, HEADS, LAYERS, missed, read
from finetune.tiny.samples import Exchange, Sample, TokenWriter, whole
from finetune.tiny.wording import box_text

CORNER, RIGHT = (0.0, 0.0, 0.25, 0.25), (0.75, 0.4, 1.0, 0.6)


@pytest.fixture
def model(small: None, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(embedded.LANGUAGE, "num_hidden_layers", 5)
    torch.manual_seed(0)
    return embedded.new_model(tokenizer)


def sample_of(tokenizer: Tokenizer, supplies: Supplies, *about: tuple[Any, ...]) -> Sample:
    """Questions about one picture, each about some boxes."""
    picture = whole(canvas_for((12, 12), Random(1), supplies).finish())
    asked = [
        Exchange("What is it?" * (1 + index), "red", [] if index else [picture], looks=(Look(boxes),) * bool(boxes))
        for index, boxes in enumerate(about)
    ]
    return TokenWriter(tokenizer).write(asked)


def taught(model: Any, batch: learn.Batch, rate: float, steps: int) -> list[float]:
    """How far the heads miss what they should look at, at each step of being told."""
    optimizer = torch.optim.Adam(model.llm.parameters(), rate)
    losses = []
    for _ in range(steps):
        embeds, _ = learn.encode(model, batch, False)
        loss = learn.answer_loss(model, embeds, batch).missed
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def test_questions_are_kept_with_the_last_token_before_their_answer(tokenizer: Tokenizer, supplies: Supplies) -> None:
    sample = sample_of(tokenizer, supplies, (CORNER,), (), (RIGHT, CORNER))
    starts = [at for at in range(1, len(sample.labels)) if sample.labels[at] != -100 and sample.labels[at - 1] == -100]
    assert [one.at for one in sample.pointed] == [starts[0] - 1, starts[2] - 1]
    first = sample.places[0][0]
    wanted = [(first + covered(boxes).nonzero().flatten()).tolist() for boxes in ((CORNER,), (RIGHT, CORNER))]
    assert [sorted(one.wanted) for one in sample.pointed] == wanted
    pointing = learn.Batch([sample_of(tokenizer, supplies, ()), sample], 0).pointing
    assert pointing is not None and pointing.rows.tolist() == [1, 1] and pointing.total == 2
    assert pointing.weights.sum(1).tolist() == [len(one) for one in wanted]
    assert learn.Batch([sample_of(tokenizer, supplies, ())], 0).pointing is None


def test_reading_layer_by_layer_changes_nothing(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    batch = learn.Batch([sample_of(tokenizer, supplies, (CORNER,)), sample_of(tokenizer, supplies, ())], 0)
    with torch.no_grad():
        embeds, _ = learn.encode(model, batch, False)
        seen = read(model.llm.model, embeds)
        expected = model.llm.model(inputs_embeds=embeds, output_hidden_states=True)
    # It computes in bfloat16, with a precision of 1 in 256.
    assert (seen.hidden - expected.last_hidden_state).norm() < 0.02 * expected.last_hidden_state.norm()
    assert set(seen.attentions) == LAYERS and set(seen.between) == set(EARLY)
    for index, hidden in seen.between.items():
        assert (hidden - expected.hidden_states[index + 1]).norm() < 0.02 * hidden.norm()
    codes = model.llm.model.rotary_emb(embeds, torch.arange(embeds.shape[1])[None])
    for index, (queries, keys) in seen.attentions.items():
        layer = model.llm.model.layers[index]
        normed, size = layer.input_layernorm(expected.hidden_states[index]), layer.self_attn.head_dim
        made = [
            part(normed).unflatten(-1, (-1, size)).transpose(1, 2)
            for part in (layer.self_attn.q_proj, layer.self_attn.k_proj)
        ]
        for got, wanted in zip((queries, keys), apply_rotary_pos_emb(*made, *codes), strict=True):
            assert got.shape == wanted.shape and (got - wanted).norm() < 0.01 * wanted.norm()


def test_it_measures_the_attention_that_the_model_really_has(
    model: Any, tokenizer: Tokenizer, supplies: Supplies
) -> None:
    other, sample = sample_of(tokenizer, supplies, ()), sample_of(tokenizer, supplies, (CORNER,), (RIGHT,))
    batch = learn.Batch([other, sample], 0)
    assert batch.pointing is not None
    with torch.no_grad():
        embeds, _ = learn.encode(model, batch, False)
        attentions = read(model.llm.model, embeds[1:]).attentions
        measured = missed(attentions, batch.pointing, torch.tensor([1]))
        nothing = missed(attentions, batch.pointing, torch.tensor([0]))
        model.llm.set_attn_implementation("eager")
        real = model.llm.model(inputs_embeds=embeds, output_attentions=True).attentions
    _, layers = HEADS["ahead"]
    shares = [real[layer][1, 0, one.at, list(one.wanted)].sum().log() for layer in layers for one in sample.pointed]
    assert measured.item() == pytest.approx(-sum(shares).item() / len(layers), rel=0.02)
    assert nothing.item() == 0


def test_what_is_counted_gets_a_part_of_the_attention_each(
    model: Any, tokenizer: Tokenizer, supplies: Supplies
) -> None:
    picture = whole(canvas_for((12, 12), Random(1), supplies).finish())
    looks = (Look((CORNER, RIGHT), counted=True),)
    sample = TokenWriter(tokenizer).write([Exchange("How many?", "2", [picture], looks=looks)])
    (one,) = sample.pointed
    assert sum(one.wanted.values()) == pytest.approx(1) and one.wanted[0] == pytest.approx(RESTING / (2 + RESTING))
    batch = learn.Batch([sample], 0)
    assert batch.pointing is not None
    least = -sum(weight * math.log(weight) for weight in one.wanted.values())
    losses = taught(model, batch, 3e-3, 60)
    assert losses[0] > least + 1 and least - 0.01 < losses[-1] < least + 0.2


def test_another_head_learns_to_look_back(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    picture = whole(canvas_for((12, 12), Random(1), supplies).finish())
    asked = [
        Exchange("?", words, [picture], as_before=at > 0) for at, words in enumerate(("red", "blue", "green star"))
    ]
    sample = TokenWriter(tokenizer).write(asked)
    batch = learn.Batch([sample], 0)
    assert batch.pointing is not None and set(batch.pointing.ways) == {"back"}
    with torch.no_grad():
        embeds, _ = learn.encode(model, batch, False)
        attentions = read(model.llm.model, embeds).attentions
        measured = missed(attentions, batch.pointing, torch.tensor([0]))
        model.llm.set_attn_implementation("eager")
        real = model.llm.model(inputs_embeds=embeds, output_attentions=True).attentions
    _, layers = HEADS["back"]
    logs = [
        one.share * real[layer][0, -1, one.at, list(one.wanted)].sum().log()
        for layer in layers
        for one in sample.pointed
    ]
    assert measured.item() == pytest.approx(-sum(logs).item() / len(layers), rel=0.02)
    assert len({at for one in sample.pointed for at in one.wanted}) > 3


def test_pictures_learn_which_they_are(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    picture = whole(canvas_for((12, 12), Random(1), supplies).finish())
    looks = [Look((CORNER,), picture=0), Look((RIGHT,), picture=1)]
    asked = [Exchange("?", "red", [picture, picture], looks=(looks[0],)), Exchange("?", "red", looks=(looks[1],))]
    sample = TokenWriter(tokenizer).write(asked)
    told = [one for one in sample.pointed if one.way == "own"]
    numbers = [at + 1 for at, token in enumerate(sample.ids) if token == tokenizer.token_to_id("<image_id>")]
    assert [sample.ids[at] for at in numbers] == [tokenizer.token_to_id(digit) for digit in "01"]
    first, second = (start for start, _ in sample.places)
    expected = {first + at: numbers[0] for at in covered([CORNER]).nonzero().flatten().tolist()}
    expected |= {second + at: numbers[1] for at in covered([RIGHT]).nonzero().flatten().tolist()}
    assert {one.at: list(one.wanted) for one in told} == {at: [number] for at, number in expected.items()}
    losses = taught(model, learn.Batch([sample], 0), 3e-3, 30)
    assert losses[-1] < 0.5 * losses[0]
    assert not any(
        one.way == "own"
        for sample in (TokenWriter(tokenizer).write(asked, numbered=False), sample_of(tokenizer, supplies, (CORNER,)))
        for one in sample.pointed
    )


def test_it_teaches_the_head_where_to_look(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    batch = learn.Batch([sample_of(tokenizer, supplies, (CORNER,))], 0)
    assert batch.pointing is not None
    losses = taught(model, batch, 1e-3, 12)
    assert losses[-1] < 0.5 * losses[0]


def test_lessons_say_what_they_are_about() -> None:
    star, circle = Thing("shape", "star", "red", CORNER), Thing("shape", "circle", "blue", RIGHT)
    found: dict[str, set[tuple[Thing, ...]]] = {}
    for seed in range(400):
        for lesson in lessons.lessons([star, circle], Random(seed), 3):
            found.setdefault(lesson.skill, set()).add(lesson.about)
            if lesson.skill == "colour":
                assert [one.colour for one in lesson.about] == [lesson.answer]
            elif lesson.skill == "count":
                assert len(lesson.about) == int(lesson.answer)
            elif lesson.skill == "boxes":
                assert box_text(lesson.about[0]) == lesson.answer
            elif lesson.answer in ("no", "没有"):
                assert lesson.about == () or lesson.about[0].name in lesson.question
    assert {(star,), (circle,)} <= found["colour"] & found["shape"] & found["position"] & found["boxes"]
    assert found["describe"] == {()}


def test_a_description_says_where_it_names_what() -> None:
    star, owl = Thing("shape", "star", "red", CORNER), Thing("thing", "owl", "", RIGHT)
    lesson = lessons.describe_lesson([owl, star], Random(0))
    assert lesson and [(lesson.answer[start:].split()[-1], thing) for start, thing in lesson.said[1:]] == [
        ("owl.", owl)
    ]
    assert lesson.answer[lesson.said[0][0] :].startswith("a red star") and lesson.said[0][1] == star
