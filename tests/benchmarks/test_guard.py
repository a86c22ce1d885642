"""Nothing that was made fast has become slow: ratios within one run, with wide margins, never times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from PIL import Image as PILImage

from app.engine.batched import BatchedEngine
from app.engine.choose import Engine
from app.engine.loader import load_model
from app.engine.plain import PlainEngine
from app.messages import Image, Message
from benchmarks import preprocess, startup, turns, vision
from benchmarks.asking import ask, greedy, usage_of
from benchmarks.checkpoint import TOKENIZER
from benchmarks.options import Cases, Options
from benchmarks.timing import in_turn, ratio

Engines: TypeAlias = Callable[[Any], Any]
Steps: TypeAlias = Callable[[Any], list[int]]

# A busy machine may disturb one side of a comparison; a change for the worse shows every time.
pytestmark = pytest.mark.flaky(reruns=2)

EMBEDDED = Options(str(TOKENIZER), "cpu", "fp32", repeats=3)


@pytest.fixture(scope="module")
def turned() -> Cases:
    return turns.run(replace(EMBEDDED, small=True))


@pytest.mark.parametrize("name", ["image10.turn2", "video64.turn2"])
def test_a_follow_up_starts_in_less_than_half_the_time(turned: Cases, name: str) -> None:
    assert turned[name]["ratio"] < 0.5


@pytest.mark.parametrize("name", ["image10.turn2", "video64.turn2"])
def test_a_follow_up_reads_only_what_is_new(turned: Cases, name: str) -> None:
    row = turned[name]
    assert row["prompt_tokens"] - row["cached_tokens"] < 60
    assert row["cached_slices"] >= 4


@pytest.mark.parametrize("name", ["image10.turn2", "video64.turn2"])
def test_an_edited_and_a_regenerated_question_start_as_fast(turned: Cases, name: str) -> None:
    row = turned[name]
    assert row["edited_s"] < row["ttft1_s"] / 2
    assert row["regenerate_s"] < row["ttft1_s"] / 2


def test_pictures_of_mixed_sizes_are_encoded_faster_than_in_one_padded_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "SIZES", {"mixed": [(28, 36), (12, 12), (15, 20), (8, 8)]})
    # 6 or more as it is, 1 if the application itself encoded them in a padded batch.
    assert vision.run(replace(EMBEDDED, repeats=5))["mixed"]["ratio"] > 1.5


def test_preprocessing_is_not_slower_than_in_floats() -> None:
    assert preprocess.run(replace(EMBEDDED, repeats=7))["1344x1344"]["ratio"] > 0.8


@pytest.fixture
def engines() -> Iterator[Engines]:
    made: list[Engine] = []

    def engine(kind: Any) -> Engine:
        made.append(kind(load_model(EMBEDDED.settings(), lambda fraction, detail: None), cache_bytes=2**26))
        return made[-1]

    yield engine
    for one in made:
        one.close()


@pytest.fixture
def steps() -> Steps:
    """Positions of each step that the language model of an engine computes from now on."""

    def count(engine: Any) -> list[int]:
        lengths: list[int] = []
        layer = engine._loaded.runner.language_model.layers[0]
        layer.register_forward_pre_hook(lambda layer, arguments: lengths.append(arguments[0].shape[1]))
        return lengths

    return count


def test_a_crowd_is_answered_together(engines: Engines, steps: Steps) -> None:
    """Against the same questions one after another, in steps and, loosely, in seconds."""
    engine, params = engines(BatchedEngine), greedy(32)
    asked = [[Message.of("user", f"Question {number}: what stands on the hill?")] for number in range(8)]

    def ask_all(crowds: list[list[list[Message]]]) -> None:
        for crowd in crowds:
            tickets = [engine.submit(messages, params, f"user {number}") for number, messages in enumerate(crowd)]
            for ticket in tickets:
                assert usage_of(ticket).new_tokens == 32

    lengths = steps(engine)
    ways = {"together": lambda: ask_all([asked]), "alone": lambda: ask_all([[messages] for messages in asked])}
    ways["alone"]()
    alone = len(lengths)
    lengths.clear()
    ways["together"]()
    # About an eighth, and a few while the first ones begin.
    assert len(lengths) < alone / 3
    seconds = in_turn(ways, 3)
    # 3 or more as it is, 1 if a batch is computed one by one.
    assert ratio(seconds["alone"], seconds["together"]) > 1.4


@pytest.mark.parametrize("kind", [PlainEngine, BatchedEngine])
def test_a_follow_up_computes_only_what_is_new(
    engines: Engines, steps: Steps, kind: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the tower and the language model do, not by what the answer says of it."""
    engine: Any = engines(kind)
    runner, encoded = engine._loaded.runner, list[Any]()
    encode = runner.encode

    def counted(placed: list[Any], *more: Any) -> Any:
        encoded.extend(placed)
        return encode(placed, *more)

    monkeypatch.setattr(runner, "encode", counted)
    picture = Image(PILImage.effect_noise((448, 448), 40).convert("RGB"))
    first = [Message.of("user", picture, "What is in it?" + " And where?" * 40)]
    ask(engine, first, greedy(2))
    assert len(encoded) == 1
    lengths = steps(engine)
    ask(engine, [*first, Message.of("assistant", "Noise."), Message.of("user", "Which colour?")], greedy(2))
    assert len(encoded) == 1 and 2 <= sum(lengths) < 60


def test_help_loads_none_of_the_heavy_libraries() -> None:
    assert startup.measure_help(5)["ratio"] < 20
