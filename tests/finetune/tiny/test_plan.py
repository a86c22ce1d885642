"""A record's sittings as commands, and that these commands do the same again, to the bit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from app.errors import CheckpointError
from finetune.tiny import curriculum, learn, plan, record, towers
from finetune.tiny.packed import GRIDS, Supplies
from finetune.tiny.record import Sitting


def tower(start: int, stop: int, published: bool = False, **flags: Any) -> Sitting:
    return Sitting("towers", start, stop, 60.0, 1, {"pictures": stop, **flags}, published)


def answers(start: int, stop: int, published: bool = False, **flags: Any) -> Sitting:
    return Sitting("learn", start, stop, 60.0, 2, {"pictures": stop, **flags}, published)


def test_flags_are_those_of_the_commands() -> None:
    sitting = answers(0, 5, pictures=9, easy=3, packed=0.2, compile=True, seed=4)
    (words,) = plan.commands([sitting], "icons and fonts", "run")
    together = "-m torch.distributed.run --standalone --nproc-per-node 2 -m finetune.tiny.learn".split()
    assert words[: len(together)] == together
    parsed = learn.parser().parse_args(words[len(together) :])
    assert (parsed.pictures, parsed.until, parsed.easy, parsed.packed, parsed.seed) == (9, 5, 3, 0.2, 4)
    assert parsed.compile and parsed.published is None and str(parsed.cache) == "icons and fonts"
    (alone,) = plan.commands([tower(0, 5, compile=False, alone=None)], "c", "run")
    assert alone == "-m finetune.tiny.towers --cache c --out run --pictures 5".split()


def test_a_run_that_begins_with_a_published_model_finds_it_in_the_one_before() -> None:
    sittings = [
        tower(0, 4), answers(0, 8), answers(8, 12, seed=3), answers(12, 16, published=True),
        tower(0, 6, published=True), answers(16, 20, published=True), answers(20, 24),
    ]  # fmt: skip
    assert [len(run) for run in plan.runs(sittings)] == [3, 1, 3] and plan.gap(sittings) == ""
    places = [
        (words[words.index("--out") + 1], words[words.index("--published") + 1] if "--published" in words else "")
        for words in plan.commands(sittings, "c", "run")
    ]
    first, second = (str(Path("run", number, "checkpoint")) for number in "12")
    assert places == [
        *[(str(Path("run", "1")), "")] * 3, (str(Path("run", "2")), first),
        ("run", second), ("run", second), ("run", ""),
    ]  # fmt: skip


def test_a_published_model_without_a_record_is_not_mistaken_for_the_result() -> None:
    (words,) = plan.commands([answers(8, 16, published=True)], "c", "run")
    assert words[-2:] == ["--published", str(Path("BEFORE", "checkpoint"))]
    assert plan.commands([], "c", "run") == []


@pytest.mark.parametrize(
    ("sittings", "words"),
    [
        ([], "how it began"),
        ([answers(0, 8)], "how it began"),
        ([tower(0, 4, published=True), answers(0, 8)], "how it began"),
        ([tower(0, 4), answers(8, 16)], "what learn learned from picture 0 to 8"),
        ([tower(0, 4), tower(6, 8)], "what towers learned from picture 4 to 6"),
    ],
)
def test_what_a_record_lacks_is_named(sittings: list[Sitting], words: str, tmp_path: Path) -> None:
    record.write(tmp_path / "training.json", [], sittings)
    with pytest.raises(CheckpointError, match=f"it lacks {words}"):
        plan.read(tmp_path / "training.json")


@pytest.fixture
def run(
    small: None, supplies: Supplies, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[list[str]], None]:
    """Runs a command in this process, over few and small pictures."""
    for module in (towers, learn):
        monkeypatch.setattr(module, "gather", lambda cache: supplies)
    monkeypatch.setattr(learn, "tokenizer_for", lambda supplies, path: tokenizer)
    for module in (learn, curriculum):
        monkeypatch.setattr(module, "SLICES", 4)
    monkeypatch.setattr(towers, "BATCH", 2)
    for module in (towers, curriculum):
        monkeypatch.setattr(module, "GRIDS", ((8, 8),) if module is towers else GRIDS[:1])

    def start(words: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", words[1:])
        import_module(words[1]).main()

    return start


def test_the_recorded_commands_do_the_same_again(run: Callable[[list[str]], None], tmp_path: Path) -> None:
    first, second, again = (str(tmp_path / name) for name in ("first", "second", "again"))
    checkpoint = f"{first}/checkpoint"
    for command in (
        f"towers --out {first} --pictures 6 --until 2 --alone 0.5 --seed 5",
        f"towers --out {first} --pictures 6 --alone 0.5 --seed 5",
        f"learn --out {first} --pictures 40 --until 8 --easy 10 --packed 0.2",
        f"learn --out {first} --pictures 40 --until 12 --few 30 --packed 0.4 --seed 9",
        f"learn --out {second} --pictures 20 --cooling 0.1 --published {checkpoint}",
    ):
        name, *flags = command.split()
        run(["-m", f"finetune.tiny.{name}", *flags, "--cache", "none", "--threads", "1"])
    path = Path(second) / "checkpoint" / record.NAME
    spans = [
        (one["stage"], one["from"], one["to"], one["published"]) for one in json.loads(path.read_text())["sittings"]
    ]
    assert spans == [
        ("towers", 0, 6, False), ("learn", 0, 8, False), ("learn", 8, 12, False), ("learn", 12, 20, True),
    ]  # fmt: skip
    commands = plan.commands(plan.read(path), "none", again)
    assert len(commands) == 4
    for words in commands:
        run(words)
    made, remade = (torch.load(Path(out) / "model.pt")["model"] for out in (second, again))
    assert made.keys() == remade.keys()
    for name, value in made.items():
        assert torch.equal(value, remade[name]), name
    assert json.loads((Path(again) / "checkpoint" / record.NAME).read_text())["stages"][-1]["pictures"] == 20
