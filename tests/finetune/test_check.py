from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.media import images
from finetune.check import CheckReport, check_samples, read_processor
from finetune.dataset import SampleDataset
from finetune.encoding import Encoder
from finetune.samples import SampleError, read_samples
from tests.checkpoints import CHECKPOINTS, family_of, folder
from tests.families.tiny_native import NAMES, build
from tests.finetune.conftest import Tiny, talk, tiny

Write = Callable[..., Path]
Draw = Callable[..., str]


def check(path: Path, **options: Any) -> CheckReport:
    return check_samples(read_samples(path), tiny("minicpm-v-2_6").encoder(**options))


@pytest.fixture
def bad_data(write_data: Write, draw: Draw, tmp_path: Path) -> Path:
    """One good sample, then one with each thing that can be wrong."""
    whole = (tmp_path / draw("whole.png", (200, 200))).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    (tmp_path / "damaged.png").write_bytes(damaged)
    Image.open(tmp_path / "whole.png").save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-2000])
    Image.open(tmp_path / "whole.png").save(tmp_path / "whole.webp")
    (tmp_path / "cut.webp").write_bytes((tmp_path / "whole.webp").read_bytes()[:-2000])
    (tmp_path / "text.png").write_text("no picture")
    entries = [
        talk("<image>\nWhat?", "A dog.", image="whole.png"),
        *(talk("Q", "A", image=name) for name in ("none.png", "cut.png", "damaged.png", "cut.jpg", "cut.webp")),
        talk("Q", "A", image="text.png"),
        talk("Q", "A", video="whole.png"),
        talk("<image>\n<image>\nQ", "A", image="whole.png"),
        talk("Q", " "),
        talk("Q", "A", "Q"),
        talk("Q", "A " * 3000),
        ["no", "entry"],
        talk("<image_00>", "A", image={"<image_00>": "whole.png", "<image_01>": "whole.png"}),
        talk("Q", "A", "Q", "B " * 3000, "Q", "C"),
    ]
    return write_data(*entries, name="data.jsonl")


def test_everything_wrong_is_found_with_its_line(bad_data: Path) -> None:
    report = check(bad_data, max_length=2048)
    assert [(fault.line, fault.kind) for fault in report.faults] == [
        *((line, "media") for line in range(2, 9)),
        (9, "marks"),
        (10, "empty"),
        (11, "roles"),
        (12, "length"),
        (13, "form"),
    ]
    assert (report.samples, report.good, report.examples) == (15, 3, 3)
    assert [line for line, _ in report.notes] == [14]
    assert report.shortened == [(15, 4)]


def test_the_report_says_it_in_words_and_names_no_file(bad_data: Path) -> None:
    text = check(bad_data, max_length=2048).text()
    assert text.startswith("3 of 15 samples can be trained on.\n3 examples, ")
    for said in (
        "7 skipped: missing or broken media:",
        "  line 2: Picture or video 1 of 1: The file cannot be read: No such file or directory.",
        "  line 3: Picture or video 1 of 1: The file begins as a PNG image but is damaged or cut off.",
        "  line 8: Picture or video 1 of 1: The file is a PNG image, not a video.",
        "1 skipped: marks without a picture:",
        "1 skipped: too long, even the first answer:",
        "1 shortened: 4 messages dropped, the last of each:\n  line 15: the last 4 messages do not fit",
        "1 to look at:\n  line 14: 1 of its pictures",
    ):
        assert said in text
    assert not any(name in text for name in ("whole", "none.png", "cut.", "damaged.png"))


def test_long_lists_are_cut(write_data: Write) -> None:
    text = check(write_data(*(talk("Q", "") for _ in range(30)))).text(shown=5)
    assert text.count("is empty") == 5
    assert text.endswith("... and 25 more")
    assert text.startswith("0 of 30 samples can be trained on.\n30 skipped")


def test_the_check_and_training_agree(bad_data: Path) -> None:
    samples = read_samples(bad_data)
    encoder = tiny("minicpm-v-2_6").encoder(max_length=2048)
    met: list[SampleError] = []
    dataset = SampleDataset(samples, encoder, met.append)
    trained = {dataset[index].line: len(dataset[index].input_ids) for index in range(len(dataset))}
    report = check_samples(samples, encoder)
    assert sorted(trained) == [1, 14, 15]
    assert dataset.skipped == [fault.line for fault in report.faults]
    assert report.tokens == sum(trained.values())
    assert report.longest == max(trained.values())


def test_pictures_are_not_decoded(
    member: Tiny, write_data: Write, draw: Draw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("decoded")

    with Image.open(tmp_path / draw()) as picture:
        picture.save(tmp_path / "a.jpg")
    monkeypatch.setattr(images, "_finish", never)
    path = write_data(talk("Q", "A", image="a.png"), talk("Q", "A", image="a.jpg"))
    assert check_samples(read_samples(path), member.encoder()).good == 2


def test_progress(write_data: Write) -> None:
    steps: list[tuple[int, int]] = []
    path = write_data(talk("Q", "A"), talk("Q", ""))
    check_samples(read_samples(path), tiny("minicpm-v-2_6").encoder(), lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_check_needs_no_weights(name: str, write_data: Write, draw: Draw, tmp_path: Path) -> None:
    for file in folder(name).iterdir():  # a tower's shape may come from the weights, a processor never does
        if file.suffix not in (".safetensors", ".bin"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    processor = read_processor(tmp_path, family_of(name))
    samples = read_samples(write_data(talk("Q", "A", image=draw()), name="data.jsonl"))
    report = check_samples(samples, Encoder(processor, family_of(name)))
    expected = tiny(name).encoder().encode(samples[0])
    assert (report.good, report.tokens) == (1, len(expected.input_ids))


@pytest.mark.parametrize("name", NAMES)
def test_models_of_the_library_too(name: str, write_data: Write, draw: Draw, tmp_path: Path) -> None:
    from app.families import all_families

    family = next(one for one in all_families() if one.name.endswith(name))
    processor = read_processor(build(tmp_path / "model", name), family)
    samples = read_samples(write_data(talk("Q", "A", "Q", "B " * 300, image=draw())))
    report = check_samples(samples, Encoder(processor, family, max_length=300))
    assert (report.good, report.examples) == (1, 1)
    assert report.shortened == [(2, 2)]
    assert json.loads((tmp_path / "data.json").read_text())[0]["id"] == "0"
