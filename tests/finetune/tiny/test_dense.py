"""The heads that are thrown away: what they count, and which patches a query answers for."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer

from finetune.tiny.dense import LABELS, SHARES, Heads, Readers, Words, quarters
from finetune.tiny.palette import SHAPES


def test_patches_without_a_colour_count_in_no_loss() -> None:
    torch.manual_seed(0)
    heads = Heads(8, 6)
    features, labels = torch.randn(1, 3, 8), torch.zeros(1, len(LABELS), 3, dtype=torch.int64)
    labels[0, 0] = torch.tensor([1, 2, -100])
    first = heads.loss(features, labels)
    weight = heads.colour.weight
    (gradient,) = torch.autograd.grad(first, weight)
    labels[0, 0, 2] = 3
    (other,) = torch.autograd.grad(heads.loss(features, labels), weight)
    assert first.isfinite() and not torch.allclose(gradient, other)


def test_hits_count_covered_patches_only() -> None:
    heads = Heads(4, 6)
    features, labels = torch.randn(1, 3, 4), torch.zeros(1, len(LABELS), 3, dtype=torch.int64)
    assert heads.hits(features, labels) == {}
    with torch.no_grad():
        heads.colour.weight.zero_()
        heads.colour.bias.zero_()
        heads.colour.bias[2] = 1
    labels[0, 0] = torch.tensor([2, 1, 0])
    assert heads.hits(features, labels) == {"colour": 0.5}


def test_each_head_says_what_its_own_layer_says_and_places_count_less() -> None:
    torch.manual_seed(0)
    heads, features = Heads(8, 6), torch.randn(1, 3, 8)
    for name, said in zip(LABELS, heads(features), strict=True):
        torch.testing.assert_close(said, getattr(heads, name)(features))
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.zero_()
    labels = torch.zeros(1, len(LABELS), 3, dtype=torch.int64)
    sizes = [getattr(heads, name).out_features for name in LABELS]
    shares = [SHARES.get(name, 1.0) for name in LABELS]
    assert shares == [1.0] * 4 + [SHARES["centre"]] + [SHARES["x0"]] * 4 + [1.0] * 2 + [SHARES["of_name"], 1.0, 1.0]
    assert SHARES["x0"] < 1 < SHARES["centre"] and SHARES["of_name"] > 1
    expected = torch.tensor(sizes).log() * torch.tensor(shares)
    assert heads.loss(features, labels).item() == pytest.approx(float(expected.sum()), rel=1e-5)


@pytest.mark.parametrize("size", [(12, 12), (8, 18), (18, 8), (16, 9)])
def test_the_queries_answer_for_the_whole_picture(size: tuple[int, int]) -> None:
    rows, cols = size
    labels = torch.arange(rows * cols).expand(2, 4, -1)
    parts = quarters(labels, size, 8)
    assert [part.shape for part in parts] == [(2, 4, 64)] * 4
    told = torch.cat(parts, -1)[0, 0].unique()
    # Each query has two of the 18 rows or columns for two and a quarter of them.
    assert len(told) == min(rows, 16) * min(cols, 16)
    first, last = parts[0][0, 0, 0], parts[3][0, 0, -1]
    assert first == 0 and last == rows * cols - 1
    top_left, top_right, bottom_left, _ = (part[0, 0, 27] for part in parts)
    assert top_left <= top_right < top_left + 3 and bottom_left >= top_left


def test_readers_learn_what_each_quarter_shows() -> None:
    torch.manual_seed(0)
    readers, outputs = Readers(16, 6), torch.randn(1, 4, 16)
    labels = torch.zeros(1, len(LABELS), 16, dtype=torch.int64)
    labels[0, 0] = torch.arange(16) % 11 + 1
    optimizer = torch.optim.Adam(readers.parameters(), 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = readers.loss(outputs, labels, (4, 4))
        loss.backward()
        optimizer.step()
    assert readers.hits(outputs, labels, (4, 4)) == {"colour": 1.0}
    told = [heads.colour(outputs).argmax(-1)[0].tolist() for heads in readers.quarters]
    grid = labels[0, 0].view(4, 4)
    assert told == [grid[row::2, col::2].flatten().tolist() for row in (0, 1) for col in (0, 1)]


def test_outputs_are_drawn_to_the_words_of_what_they_show(tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    words, width = Words(tokenizer, ("dog", "owl")), 64
    table = torch.randn(tokenizer.get_vocab_size(), width, requires_grad=True)
    outputs = torch.randn(1, 1, width, requires_grad=True)
    labels = torch.zeros(1, len(LABELS), 4, dtype=torch.int64)
    assert words.loss(outputs, labels, (2, 2), table) == 0, "nothing is covered"
    labels[0, 0], labels[0, 1] = 1, len(SHAPES) + 2  # red, an owl
    optimizer = torch.optim.Adam([outputs], 0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = words.loss(outputs, labels, (2, 2), table)
        loss.backward()
        optimizer.step()
    assert loss < 0.5 and table.grad is None
    near = lambda word: float(outputs[0, 0].detach() @ table.detach()[tokenizer.encode(word).ids].mean(0))  # noqa: E731
    assert near(" owl") > near(" dog") and near(" red") > near(" blue")
    assert near("猫头鹰") > near("狗") and near("红色") > near("蓝色")
