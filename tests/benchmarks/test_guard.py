"""Nothing that was made fast has become slow: ratios within one run, with wide margins, never times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from PIL import Image as PILImage

from app.engine import admission, scheduler
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

Engines: TypeAlias = Callable[..., Any]
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


@pytest.mark.thorough
def test_pictures_of_mixed_sizes_are_encoded_faster_than_in_one_padded_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "SIZES", {"mixed": [(28, 36), (12, 12), (15, 20), (8, 8)]})
    # 6 or more as it is, 1 if the application itself encoded them in a padded batch.
    assert vision.run(replace(EMBEDDED, repeats=5))["mixed"]["ratio"] > 1.5


@pytest.mark.thorough
def test_preprocessing_is_not_slower_than_in_floats() -> None:
    assert preprocess.run(replace(EMBEDDED, repeats=7))["1344x1344"]["ratio"] > 0.8


@pytest.fixture
def engines() -> Iterator[Engines]:
    made: list[Engine] = []

    def engine(kind: Any, cache_bytes: int = 2**26) -> Engine:
        made.append(kind(load_model(EMBEDDED.settings(), lambda fraction, detail: None), cache_bytes=cache_bytes))
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


def ask_crowds(engine: Any, crowds: list[list[list[Message]]]) -> None:
    """The questions of each crowd at once, one crowd after another."""
    for crowd in crowds:
        tickets = [engine.submit(messages, greedy(32), f"user {number}") for number, messages in enumerate(crowd)]
        for ticket in tickets:
            assert usage_of(ticket).new_tokens == 32


ASKED = [[Message.of("user", f"Question {number}: what stands on the hill?")] for number in range(8)]
# The same questions at once, and one after another.
TOGETHER, ALONE = [ASKED], [[messages] for messages in ASKED]


def guard_batching(engine: Any, lengths: list[int]) -> None:
    """Fails unless a crowd is computed in far fewer steps than its questions one after another.

    Args:
        lengths: of the engine's steps, see `steps`.
    """
    counts = []
    for crowds in (ALONE, TOGETHER):
        lengths.clear()
        ask_crowds(engine, crowds)
        counts.append(len(lengths))
    # About an eighth, and a few while the first ones begin.
    assert counts[1] < counts[0] / 3, "the answers of a crowd are computed one by one"


def guard_reuse(engine: Any, lengths: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails unless a follow-up computes only what is new, by what the tower and the language model do.

    Args:
        lengths: of the engine's steps, see `steps`.
    """
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
    lengths.clear()
    ask(engine, [*first, Message.of("assistant", "Noise."), Message.of("user", "Which colour?")], greedy(2))
    assert len(encoded) == 1, "the picture is encoded again"
    assert 2 <= sum(lengths) < 60, "the conversation is read again"


def test_a_crowd_is_answered_together(engines: Engines, steps: Steps) -> None:
    """Against the same questions one after another, in steps and, loosely, in seconds."""
    engine = engines(BatchedEngine)
    guard_batching(engine, steps(engine))
    seconds = in_turn({"together": lambda: ask_crowds(engine, TOGETHER), "alone": lambda: ask_crowds(engine, ALONE)}, 3)
    # 3 or more as it is, 1 if a batch is computed one by one.
    assert ratio(seconds["alone"], seconds["together"]) > 1.4


@pytest.mark.parametrize(
    "lost",
    ["no batch", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("room for one", "a scheduler of one"))],
)
def test_the_guard_of_batching_fails_where_answers_are_computed_one_by_one(
    lost: str, engines: Engines, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lost != "no batch":
        monkeypatch.setattr(admission if lost == "room for one" else scheduler, "MOST_RUNNING", 1)
    engine = engines(PlainEngine if lost == "no batch" else BatchedEngine)
    with pytest.raises(AssertionError, match="computed one by one"):
        guard_batching(engine, steps(engine))


@pytest.mark.parametrize("kind", [PlainEngine, BatchedEngine])
def test_a_follow_up_computes_only_what_is_new(
    engines: Engines, steps: Steps, kind: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines(kind)
    guard_reuse(engine, steps(engine), monkeypatch)


@pytest.mark.parametrize("kind", [PlainEngine, BatchedEngine])
def test_the_guard_of_reuse_fails_where_nothing_is_kept(
    engines: Engines, steps: Steps, kind: type[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines(kind, cache_bytes=0)
    with pytest.raises(AssertionError, match="encoded again"):
        guard_reuse(engine, steps(engine), monkeypatch)


def test_the_guard_of_reuse_fails_where_only_features_are_kept(
    engines: Engines, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines(PlainEngine)
    engine._caches.prefixes.most = 0
    with pytest.raises(AssertionError, match="read again"):
        guard_reuse(engine, steps(engine), monkeypatch)


def test_help_loads_none_of_the_heavy_libraries() -> None:
    assert startup.measure_help(5)["ratio"] < 20
