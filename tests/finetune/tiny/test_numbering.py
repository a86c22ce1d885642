"""How many letters were read out is told to the language model, and it learns it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from finetune.tiny import embedded, learn
from finetune.tiny.canvas import LETTERS
from finetune.tiny.numbering import Numbered, Numbers
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.pointing import EARLY
from finetune.tiny.samples import Exchange, Sample, TokenWriter, whole


def sample_of(tokenizer: Tokenizer, supplies: Supplies, answer: str, *lines: tuple[int, int]) -> Sample:
    picture = whole(canvas_for((12, 12), Random(1), supplies).finish())
    return TokenWriter(tokenizer).write([Exchange("Read it.", answer, [picture], spelled=lines)])


def test_letters_are_numbered_in_each_line(tokenizer: Tokenizer, supplies: Supplies) -> None:
    sample = sample_of(tokenizer, supplies, "ab1\nxy", (0, 3), (4, 6))
    read = [(tokenizer.decode([sample.ids[at]]), number) for at, number in sample.numbered]
    assert read[1:] == [("a", 1), ("b", 2), ("1", 3), ("\n", 0), ("x", 1), ("y", 2)]
    # Before the first letter there is the end of the opening.
    assert sample.numbered[0] == (next(at for at, label in enumerate(sample.labels) if label != -100) - 1, 0)
    long = sample_of(tokenizer, supplies, "q" * 30, (0, 30))
    assert [number for _, number in long.numbered] == list(range(LETTERS + 1))
    assert sample_of(tokenizer, supplies, "red").numbered == []


def test_the_loss_is_the_mean_over_all_tokens_of_the_batch() -> None:
    torch.manual_seed(0)
    numbers = Numbers(8)
    numbered = Numbered([(0, 3, 0), (0, 4, 1), (2, 1, 5)])
    between = {layer: torch.randn(3, 6, 8) for layer in EARLY}
    expected = 0.0
    for layer, head in zip(EARLY, numbers.behind, strict=True):
        for row, at, number in ((0, 3, 0), (0, 4, 1), (2, 1, 5)):
            hidden = between[layer][row, at]
            scores = head(hidden / hidden.square().mean().sqrt())
            expected -= scores.log_softmax(-1)[number].item() / 3 / len(EARLY)
    parts = [torch.tensor([2, 1]), torch.tensor([0])]
    chosen = [{layer: hidden[rows] for layer, hidden in between.items()} for rows in parts]
    found = [numbers.loss(some, numbered, rows).item() for some, rows in zip(chosen, parts, strict=True)]
    assert sum(found) == pytest.approx(expected, rel=1e-4)


@pytest.fixture
def model(small: None, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(embedded.LANGUAGE, "num_hidden_layers", 5)
    torch.manual_seed(0)
    return embedded.new_model(tokenizer)


def test_the_first_layers_learn_it(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    words = ("kk7k", "7", "k7k7kk", "77k", "kk")
    batch = learn.Batch([sample_of(tokenizer, supplies, word, (0, len(word))) for word in words], 0)
    numbers = Numbers(model.config.hidden_size)
    optimizer = torch.optim.Adam([*model.llm.model.layers[:2].parameters(), *numbers.parameters()], 3e-3)
    losses = []
    for _ in range(40):
        embeds, _ = learn.encode(model, batch, False)
        loss = learn.answer_loss(model, embeds, batch, numbers=numbers).numbers
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.2 < 1.5 < losses[0]


def test_without_a_line_all_its_weights_have_gradients(model: Any, tokenizer: Tokenizer, supplies: Supplies) -> None:
    """Processes that train together average what has gradients: it has to be the same in all of them."""
    batch = learn.Batch([sample_of(tokenizer, supplies, "red")], 0)
    assert batch.numbered is None
    numbers = Numbers(model.config.hidden_size)
    embeds, _ = learn.encode(model, batch, False)
    losses = learn.answer_loss(model, embeds, batch, numbers=numbers)
    (losses.answers + losses.numbers).backward()
    assert losses.numbers.item() == 0
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in numbers.parameters())
