"""What a batch keeps: within one budget, the oldest go first, and nothing that went is missed in an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image as PILImage

from app.engine import vision_table
from app.engine.batched import BatchedEngine
from app.engine.caches import Shares
from app.engine.choose import make_engine
from app.engine.memory import kv_bytes_per_token
from app.engine.plain import PlainEngine
from app.engine.scheduler import PAGE, least_blocks
from app.engine.tickets import drain
from app.engine.window import shares_beginnings
from app.messages import Image, Message
from app.settings import Settings
from tests.engine.conftest import loaded_model
from tests.engine.test_batched import crashing, golden
from tests.engine.test_plain import GREEDY, text_of, usage_of, wait, wait_until

NAME = "minicpm-v-2_6"
WINDOWED = "omnilmm-12b"
SHORT = replace(GREEDY, max_new_tokens=4)
Make = Callable[..., BatchedEngine]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[BatchedEngine] = []

    def engine(
        name: str = NAME, cache_bytes: int = 64 * 1024**2, table_bytes: int | None = None, **changed: Any
    ) -> BatchedEngine:
        loaded = replace(loaded_model(name), **changed)
        made.append(BatchedEngine(loaded, cache_bytes=cache_bytes, table_bytes=table_bytes))
        return made[-1]

    yield engine
    for one in made:
        one.close()


def noise(seed: int) -> Image:
    return Image(PILImage.effect_noise((120, 100), 20 + seed).convert("RGB"))


def asked(name: str = "pub_single_large") -> tuple[list[Message], str]:
    """A golden conversation and its answer."""
    case = next(case for case in golden(NAME) if case[0].endswith(name))
    return case[1], case[2]


def encodings(engine: BatchedEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures are encoded at once, from now on."""
    encode, counts = engine._loaded.runner.encode, []

    def counted(placed: Any, *others: Any) -> Any:
        counts.append(len(placed))
        return encode(placed, *others)

    monkeypatch.setattr(engine._loaded.runner, "encode", counted)
    return counts


def test_who_asked_a_moment_ago_keeps_his_pages_when_others_fill_the_cache(make: Make) -> None:
    engine = make(cache_bytes=2**10, context=512)
    assert engine._manager.batch_processor.cache.num_blocks == 33
    texts = [f"{number} " + "cat river " * 60 for number in range(8)]
    tokens = 0
    for at, text in enumerate(texts):
        usage = usage_of(wait(engine.submit([Message.of("user", text)], SHORT)))
        tokens += usage.prompt_tokens
        if at:
            again = usage_of(wait(engine.submit([Message.of("user", texts[at - 1])], SHORT)))
            assert again.cached_tokens == (again.prompt_tokens - 1) // PAGE * PAGE, at
    assert tokens > 2 * 33 * PAGE
    oldest = usage_of(wait(engine.submit([Message.of("user", texts[0])], SHORT)))
    assert oldest.cached_tokens < oldest.prompt_tokens // 2


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("most", [0, 1, 10**6 + 1, 8 * 1024**3])
def test_one_budget_is_divided(most: int, batched: bool) -> None:
    shares = Shares.of(most, batched=batched)
    parts = (shares.features, shares.reading, shares.prefixes, shares.pages)
    assert sum(parts) == most and min(parts) >= 0
    assert shares.pages == (0 if not batched else pytest.approx(0.75 * most, abs=3))
    assert shares.reading == (0 if not batched else pytest.approx(most / 16, abs=3))


def test_a_vision_table_of_its_own_size_takes_nothing_from_what_is_kept() -> None:
    shares, without = Shares.of(2**20, batched=True, table=12345), Shares.of(2**20, batched=True)
    assert shares.reading == 12345 and shares.features == 2**17
    assert (shares.pages, shares.prefixes) == (without.pages, without.prefixes)
    assert shares.features + shares.pages + shares.prefixes == 2**20


def test_the_caches_of_a_batch_take_no_more_than_their_budget(make: Make) -> None:
    most = 512 * 1024**2
    engine = make(cache_bytes=most)
    cache = engine._manager.batch_processor.cache
    pages = cache.num_sectors * cache.bytes_per_sector
    features, prefixes = engine._loaded.runner.features.maxsize, engine._caches.prefixes.most
    assert pages > 0 and features > 0 and prefixes > 0
    assert pages + features + prefixes + engine._reading_bytes <= most


def test_the_smallest_cache_is_what_the_doctor_counts(make: Make) -> None:
    engine = make(cache_bytes=0)
    cache, config = engine._manager.batch_processor.cache, engine._decoder.config.get_text_config()
    counted = PAGE * least_blocks(engine._loaded.context) * kv_bytes_per_token(config, 4)
    assert cache.num_sectors * cache.bytes_per_sector == counted


def test_a_size_of_nothing_keeps_nothing(make: Make) -> None:
    engine = make(cache_bytes=0)
    messages, expected = asked()
    for _ in range(2):
        chunks = wait(engine.submit(messages, GREEDY))
        assert text_of(chunks) == expected
        assert usage_of(chunks).cached_tokens == usage_of(chunks).cached_slices == 0


def test_pictures_that_pages_hold_are_not_encoded_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make()
    messages, expected = asked()
    first = wait(engine.submit(messages, GREEDY))
    engine._loaded.runner.features.clear()
    counts = encodings(engine, monkeypatch)
    again = wait(engine.submit(messages, GREEDY))
    assert text_of(again) == text_of(first) == expected and counts == []
    assert usage_of(again).cached_slices > 1 and usage_of(again).cached_tokens > (usage_of(again).vision_tokens or 0)


@pytest.mark.parametrize("kept", [True, False])
def test_pages_that_go_after_they_were_found_cost_no_wrong_answer(
    kept: bool, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features are kept or have gone, too; then the scheduler's thread encodes the picture."""
    engine = make()
    messages, expected = asked()
    wait(engine.submit(messages, GREEDY))
    if not kept:
        engine._loaded.runner.features.clear()
    counts = encodings(engine, monkeypatch)
    held = engine._pages.held

    def held_until_asked(prompt: list[int]) -> int:
        found = held(prompt)
        ledger = engine._pages._allocator().ledger
        engine._pages._allocator().pool.free_blocks(0, ledger.evict_oldest(len(ledger.cached_blocks)))
        return found

    monkeypatch.setattr(engine._pages, "held", held_until_asked)
    chunks = wait(engine.submit(messages, GREEDY))
    assert text_of(chunks) == expected and usage_of(chunks).cached_tokens == 0
    assert counts == ([] if kept else [1])
    assert (usage_of(chunks).cached_slices > 0) == kept
    wait_until(lambda: not engine._table.used)


def test_an_answer_goes_on_where_its_picture_lay_only_in_pages_that_a_failure_took(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make()
    messages, expected = asked()
    wait(engine.submit(messages, GREEDY))
    engine._loaded.runner.features.clear()
    counts = encodings(engine, monkeypatch)
    crashing(monkeypatch, engine, lambda step: step == 4)
    assert text_of(wait(engine.submit(messages, GREEDY))) == expected
    assert counts == [1], "once, by the scheduler that came after"


def test_features_leave_when_they_have_been_read(make: Make) -> None:
    engine = make()
    long = replace(GREEDY, max_new_tokens=300, min_new_tokens=300)
    ticket = engine.submit([Message.of("user", noise(1), "What?")], long)
    wait_until(lambda: any(one.tokens.count for one in engine._batch.requests.values()))
    wait_until(lambda: not engine._table.held_bytes)
    assert engine._table.used == 1
    ticket.cancel()
    wait_until(lambda: not engine._table.used)


@pytest.mark.parametrize(("table", "at_once"), [(None, 1), (2**20, 2)])
def test_a_picture_waits_for_those_that_are_being_read_where_they_fill_the_table(
    table: int | None, at_once: int, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make(cache_bytes=0, table_bytes=table)
    puts: list[Any] = []
    put = engine._table.put

    def counted(features: Any) -> None:
        puts.append(features)
        put(features)

    monkeypatch.setattr(engine._table, "put", counted)
    with engine._manager.pause():
        first = engine.submit([Message.of("user", noise(1), "What?")], GREEDY)
        wait_until(lambda: bool(engine._batch.requests))
        second = engine.submit([Message.of("user", noise(2), "What?")], GREEDY)
        wait_until(lambda: engine.place(second) is None)
        if at_once == 2:
            wait_until(lambda: len(engine._batch.requests) == 2)
        drain(second, 0.5)
        assert engine._table.held_bytes and len(puts) == at_once
    assert text_of(wait(first)) and text_of(wait(second)) and len(puts) == 2


def test_pictures_are_remembered_no_longer_than_their_pages(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_table, "MOST_REMEMBERED", 4)
    monkeypatch.setattr(vision_table, "LAST", vision_table.FIRST + 20 * 64)
    plain = PlainEngine(replace(loaded_model(NAME)), cache_bytes=0)
    engine = make(cache_bytes=2**10, context=512)
    engine._table._most = 4
    for seed in range(30):
        messages = [Message.of("user", noise(seed), "What?")]
        expected, got = (text_of(wait(one.submit(messages, SHORT))) for one in (plain, engine))
        assert got == expected, seed
        assert engine._table.remembered <= 16
    plain.close()


@pytest.mark.parametrize("context", [4096, 32768])
def test_a_window_that_holds_a_whole_context_is_none(context: int, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loaded_model(WINDOWED)
    monkeypatch.setattr(loaded.model.config, "sliding_window", 4096)
    engine = make(WINDOWED, context=context)
    assert shares_beginnings(engine._loaded) == (context == 4096)
    for case, messages, expected in golden(WINDOWED):
        for repeated in (False, True):
            chunks = wait(engine.submit(messages, GREEDY))
            assert text_of(chunks) == expected, case
            reused = usage_of(chunks).cached_tokens
            assert not repeated or (reused > 0) == (context == 4096), case


@pytest.mark.parametrize(
    ("engine", "context", "cache", "kind"),
    [
        ("auto", 32768, 2**24, PlainEngine),
        ("auto", 4096, 2**24, BatchedEngine),
        ("auto", 32768, 0, BatchedEngine),
        ("batched", 32768, 2**24, BatchedEngine),
    ],
)
def test_where_a_batch_can_share_nothing_answers_are_written_one_by_one(
    engine: str, context: int, cache: int, kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = replace(loaded_model(WINDOWED), context=context)
    monkeypatch.setattr(loaded.model.config, "sliding_window", 4096)
    made = make_engine(loaded, Settings(model="any", engine=engine, cache_size=cache))
    made.close()
    assert type(made) is kind
