from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from finetune.collate import Collator
from finetune.dataset import SampleDataset
from finetune.samples import DataError, SampleError, read_samples
from tests.finetune.conftest import talk, tiny

Write = Callable[..., Path]
Draw = Callable[..., str]
NAME = "minicpm-v-2_6"


@pytest.fixture
def data(write_data: Write, draw: Draw, tmp_path: Path) -> Path:
    """Lines 1, 3 and 6 are good; 2 is of no form, 4 is a broken picture, 5 has none."""
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return write_data(
        talk("Q", "A one", image=draw()),
        talk("Q", ""),
        talk("Q", "A three", "Q", "and more"),
        talk("Q", "A four", image="broken.png"),
        talk("Q", "A five", image="none.png"),
        talk("Q", "A six"),
        name="data.jsonl",
    )


def dataset(path: Path, met: list[SampleError]) -> SampleDataset:
    return SampleDataset(read_samples(path), tiny(NAME).encoder(), met.append)


def test_bad_samples_are_replaced_by_the_next_good_one_and_reported_once(data: Path) -> None:
    met: list[SampleError] = []
    samples = dataset(data, met)
    assert [error.line for error in met] == [2]
    assert len(samples) == 5
    for _ in range(2):
        assert [samples[index].line for index in range(5)] == [1, 3, 6, 6, 6]
        assert [(error.line, error.kind) for error in met] == [(2, "empty"), (4, "media"), (5, "media")]
    assert samples.skipped == [2, 4, 5]


def test_the_last_sample_may_be_bad(write_data: Write, draw: Draw) -> None:
    path = write_data(talk("Q", "A"), talk("Q", "A", image="none.png"), name="data.jsonl")
    assert dataset(path, [])[1].line == 1


def test_what_other_processes_skip_is_known_here(data: Path) -> None:
    samples = dataset(data, [])
    loader = DataLoader(samples, batch_size=2, num_workers=2, collate_fn=Collator())
    shapes = [batch["input_ids"].shape[0] for batch in loader]
    assert shapes == [2, 2, 1]
    assert samples.skipped == [2, 4, 5]


def test_what_the_processes_of_a_run_met_adds_up(data: Path) -> None:
    first, second = dataset(data, []), dataset(data, [])
    assert first[2].line == 6 and first.skipped == [2, 4, 5]
    assert second.skipped == [2]
    second.add(torch.stack([first.met, second.met]))
    assert second.skipped == [2, 4, 5]
    second.add(second.met[None])
    assert second.skipped == [2, 4, 5] and second.met.max() == 1


def test_what_every_process_meets_is_told_apart(data: Path) -> None:
    met: list[SampleError] = []
    at_once: list[SampleError] = []
    samples = SampleDataset(read_samples(data), tiny(NAME).encoder(), met.append, at_once.append)
    assert [error.line for error in at_once] == [2] and not met
    assert samples[2].line == 6
    assert [error.line for error in met] == [4, 5]


def test_turns_that_do_not_fit_are_told_once(write_data: Write) -> None:
    cut: list[tuple[int, int]] = []
    path = write_data(talk("Q", "A"), talk("Q", "A", "Q", "so " * 99, "Q", "so " * 99), name="data.jsonl")
    encoder = tiny(NAME).encoder(max_length=100)
    samples = SampleDataset(read_samples(path), encoder, lambda error: None, on_cut=lambda *one: cut.append(one))
    for _ in range(2):
        assert [samples[index].line for index in range(2)] == [1, 2]
    assert cut == [(2, 4)] and samples.shortened == {2: 4} and samples.skipped == []


def test_nothing_good_is_an_error(write_data: Write) -> None:
    met: list[SampleError] = []
    with pytest.raises(DataError, match="None of the 2 samples"):
        dataset(write_data(talk("Q", ""), talk("Q")), met)
    assert len(met) == 2
    met.clear()
    samples = dataset(write_data(talk("Q", "A", image="none.png"), talk("Q", "A", image="none.png")), met)
    with pytest.raises(DataError, match="None of the 2 samples"):
        samples[1]
    assert len(met) == 2
    assert not any("none.png" in str(error) for error in met)


def test_a_conversation_that_is_learned_in_parts_has_several_examples(write_data: Write, draw: Draw) -> None:
    pictures = {"<image_00>": draw(size=(448, 448)), "<image_01>": draw("b.png", (500, 600))}
    path = write_data(talk("<image_00>\nQ", "A", "<image_01>\nQ", "B", image=pictures))
    parts = SampleDataset(read_samples(path), tiny("minicpm-llama3-v-2_5").encoder(), lambda error: None)
    assert len(parts) == 2
    assert sum(int((example.labels >= 0).sum()) for example in (parts[0], parts[1])) == 4
