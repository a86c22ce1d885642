from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from finetune.collate import Collator
from finetune.encoding import Encoder, Example
from finetune.samples import read_samples
from finetune.writing import IGNORED
from tests.families.tiny_native import NAMES, build
from tests.finetune.conftest import Tiny, talk
from tests.media.clips import write_clip

Write = Callable[..., Path]
Draw = Callable[..., str]


def examples_of(encoder: Encoder, path: Path) -> list[Example]:
    return [encoder.encode(piece) for sample in read_samples(path) for piece in encoder.split(sample)]


def losses(model: Any, batch: dict[str, Any]) -> list[torch.Tensor]:
    """The loss of each row, and of the batch as the model says it."""
    with torch.no_grad():
        output = model(**batch)
    rows = [
        F.cross_entropy(logits[:-1], labels[1:], ignore_index=IGNORED)
        for logits, labels in zip(output.logits, batch["labels"], strict=True)
    ]
    counts = torch.tensor([float((labels[1:] != IGNORED).sum()) for labels in batch["labels"]])
    assert torch.allclose(output.loss, (torch.stack(rows) * counts).sum() / counts.sum(), atol=1e-5)
    return rows


def assert_batch_is_its_members(model: Any, examples: list[Example]) -> None:
    collate = Collator()
    assert len({len(example.input_ids) for example in examples}) > 1
    together = losses(model, collate(examples))
    alone = [losses(model, collate([example]))[0] for example in examples]
    assert torch.allclose(torch.stack(together), torch.stack(alone), atol=2e-5)
    assert len({round(float(loss), 3) for loss in alone}) == len(alone)


def test_a_sample_in_a_batch_has_the_loss_it_has_alone(member: Tiny, write_data: Write, draw: Draw) -> None:
    path = write_data(
        talk("<image>\nWhat is it?", "A red circle.", "How many?", "Two!", image=draw(size=(300, 200))),
        talk("Hello! Who are you?", "I am small, but I know some colours and shapes, and I am honest about it."),
        talk("<image>\nRead.", "No text", image=draw("b.png", (700, 460), seed=1)),
    )
    assert_batch_is_its_members(member.model, examples_of(member.encoder(), path))


def test_a_batch_of_texts_alone(member: Tiny, write_data: Write) -> None:
    path = write_data(talk("Hello!", "I am small."), talk("Thanks a lot", "You are very welcome, any time!"))
    assert_batch_is_its_members(member.model, examples_of(member.encoder(), path))


def test_the_loss_sees_the_picture(member: Tiny, write_data: Write, draw: Draw) -> None:
    path = write_data(*(talk("What?", "A dog.", image=draw(f"{seed}.png", seed=seed)) for seed in range(2)))
    first, second = losses(member.model, Collator()(examples_of(member.encoder(), path)))
    assert abs(float(first - second)) > 1e-4


def test_padding_is_on_the_right_masked_and_without_loss(member: Tiny, write_data: Write, draw: Draw) -> None:
    path = write_data(talk("What?", "A dog.", image=draw()), talk("Hi", "Hello"))
    long, short = examples_of(member.encoder(), path)
    batch = Collator(pad_token_id=7)([long, short])
    size = len(short.input_ids)
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    assert batch["input_ids"][1, :size].tolist() == short.input_ids.tolist()
    assert set(batch["input_ids"][1, size:].tolist()) == {7}
    assert batch["attention_mask"].sum(1).tolist() == [len(long.input_ids), size]
    assert set(batch["labels"][1, size:].tolist()) == {IGNORED}
    assert [len(rows) for rows in batch["pixel_values"]] == [1, 0]


def test_every_part_learns_from_a_batch(member: Tiny, write_data: Write, draw: Draw) -> None:
    path = write_data(talk("What?", "A dog.", image=draw()), talk("Hi", "Hello"))
    model = member.model
    try:
        model(**Collator()(examples_of(member.encoder(), path))).loss.backward()
        for part in (model.llm, model.vpm, model.resampler):
            assert any(weight.grad is not None and weight.grad.abs().max() > 0 for weight in part.parameters())
    finally:
        model.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", NAMES)
def test_models_of_the_library_take_batches_too(
    name: str, write_data: Write, draw: Draw, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from app.engine.loader import runner_class
    from app.families import all_families

    family = next(one for one in all_families() if one.name.endswith(name))
    folder = build(tmp_path_factory.mktemp("native"), name)
    model, processor = runner_class(family).load(folder, family.model_class, dtype=torch.float32)
    write_clip(tmp_path / "c.mp4", frames=40)
    path = write_data(
        talk("What is it?", "A red circle.", "How many?", "Two!", image=draw(size=(300, 200))),
        talk("Hello! Who are you?", "I am small."),
        talk("Moves?", "No", video="c.mp4"),
    )
    assert_batch_is_its_members(model, examples_of(Encoder(processor, family), path))
