"""One attention head learns to look at what a question asks for."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from finetune.tiny import embedded, learn, lessons
from finetune.tiny.canvas import Thing
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.pointing import LAYERS, SIDE, covered, missed, read
from finetune.tiny.samples import Exchange, Sample, TokenWriter, whole
from finetune.tiny.shape import QUERIES

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
        Exchange("What is it?" * (1 + index), "red", [] if index else [picture], about=boxes)
        for index, boxes in enumerate(about)
    ]
    return TokenWriter(tokenizer).write(asked)


def test_queries_inside_a_box_are_wanted() -> None:
    corner = covered([CORNER]).view(SIDE, SIDE)
    assert corner.sum() == 4 and corner[:2, :2].all()
    both = covered([CORNER, RIGHT]).view(SIDE, SIDE)
    assert both[:2, :2].all() and both[2:4, 4:].all() and both.sum() == 8
    speck = covered([(0.49, 0.99, 0.5, 1.0)]).view(SIDE, SIDE)
    assert speck.sum() == 1 and speck[5, 2] == 1


def test_questions_are_kept_with_the_last_token_before_their_answer(tokenizer: Tokenizer, supplies: Supplies) -> None:
    sample = sample_of(tokenizer, supplies, (CORNER,), (), (RIGHT, CORNER))
    starts = [at for at in range(1, len(sample.labels)) if sample.labels[at] != -100 and sample.labels[at - 1] == -100]
    assert sample.pointed == [(starts[0] - 1, (CORNER,)), (starts[2] - 1, (RIGHT, CORNER))]
    pointing = learn.Batch([sample_of(tokenizer, supplies, ()), sample], 0).pointing
    assert pointing is not None and pointing.rows.tolist() == [1, 1]
    assert pointing.starts.tolist() == [sample.places[0][0]] * 2
    assert learn.Batch([sample_of(tokenizer, supplies, ())], 0).pointing is None


def test_reading_layer_by_layer_changes_nothing(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    batch = learn.Batch([sample_of(tokenizer, supplies, (CORNER,)), sample_of(tokenizer, supplies, ())], 0)
    with torch.no_grad():
        embeds, _ = learn.encode(model, batch, False)
        hidden, inputs = read(model.llm.model, embeds)
        expected = model.llm.model(inputs_embeds=embeds, output_hidden_states=True)
    # It computes in bfloat16, with a precision of 1 in 256.
    assert (hidden - expected.last_hidden_state).norm() < 0.02 * expected.last_hidden_state.norm()
    for index in LAYERS:
        wanted = expected.hidden_states[index]
        assert (inputs[index] - wanted).norm() < 0.01 * wanted.norm()


def test_it_measures_the_attention_that_the_model_really_has(
    model: Any, tokenizer: Tokenizer, supplies: Supplies
) -> None:
    other, sample = sample_of(tokenizer, supplies, ()), sample_of(tokenizer, supplies, (CORNER,), (RIGHT,))
    batch = learn.Batch([other, sample], 0)
    assert batch.pointing is not None
    with torch.no_grad():
        embeds, _ = learn.encode(model, batch, False)
        _, inputs = read(model.llm.model, embeds[1:])
        measured = missed(model.llm.model, inputs, batch.pointing, torch.tensor([1]))
        nothing = missed(model.llm.model, inputs, batch.pointing, torch.tensor([0]))
        model.llm.set_attn_implementation("eager")
        attentions = model.llm.model(inputs_embeds=embeds, output_attentions=True).attentions
    start, shares = sample.places[0][0], []
    for layer in LAYERS:
        for at, boxes in sample.pointed:
            seen = attentions[layer][1, 0, at, start : start + QUERIES]
            shares.append(seen[covered(boxes).bool()].sum().log())
    assert measured.item() == pytest.approx(-sum(shares).item() / len(LAYERS), rel=0.02)
    assert nothing.item() == 0


def test_it_teaches_the_head_where_to_look(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    batch = learn.Batch([sample_of(tokenizer, supplies, (CORNER,))], 0)
    assert batch.pointing is not None
    optimizer = torch.optim.Adam(model.llm.parameters(), 1e-3)
    losses = []
    for _ in range(12):
        embeds, _ = learn.encode(model, batch, False)
        _, loss = learn.answer_loss(model, embeds, batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
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
                assert lessons.box_text(lesson.about[0]) == lesson.answer
            elif lesson.answer in ("no", "没有"):
                assert lesson.about == () or lesson.about[0].name in lesson.question
    assert {(star,), (circle,)} <= found["colour"] & found["shape"] & found["position"] & found["boxes"]
    assert found["describe"] == {()}
