"""The pages that a batch keeps: the oldest go first and no more than are needed, and who is still needed stays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import ContinuousBatchingConfig, LlamaConfig
from transformers.generation.continuous_batching.cache import PagedAttentionCache
from transformers.generation.continuous_batching.distributed import DistributedHelper
from transformers.generation.continuous_batching.requests import RequestState

from app.engine.pages import Pages

PAGE = 16
PICTURE = 1000


def empty(blocks: int, *, share: bool = True) -> Any:
    config = LlamaConfig(hidden_size=32, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=2)
    options = ContinuousBatchingConfig(
        page_size=PAGE, num_blocks=blocks, max_batch_tokens=64, max_blocks_per_request=0, allow_block_sharing=share,
        max_memory_percent=0.9, max_requests_per_batch=4,
    )  # fmt: skip
    return PagedAttentionCache(config, options, torch.device("cpu"), DistributedHelper(None, None, {}), torch.float32)


@pytest.fixture
def cache() -> SimpleNamespace:
    made = empty(33)
    return SimpleNamespace(made=made, pages=Pages(made, PICTURE), number=0)


def answer(cache: SimpleNamespace, prompt: list[int], *, leave: bool = True) -> int:
    """What the scheduler does with one request, but for the computing; gives the positions that were reused."""
    cache.number += 1
    state = RequestState(f"r{cache.number}", prompt)
    reused = cache.made.search_prefix_match(state.request_id, prompt)
    state.position_offset = reused
    assert cache.made.can_store_request_tokens(state, len(prompt) - reused)
    complete = cache.made.count_new_complete_blocks(state, len(prompt) - reused)
    cache.made.mark_complete_blocks(state, complete)
    if leave:
        cache.made.free_blocks(state.request_id)
    return int(reused)


def conversation(number: int, pages: int) -> list[int]:
    return [number] * (pages * PAGE) + [0]


def test_the_oldest_go_and_who_asked_a_moment_ago_finds_all_again(cache: SimpleNamespace) -> None:
    """33 pages hold six of these; the library would empty all of them at the sixth."""
    for number in range(20):
        assert answer(cache, conversation(number, 5)) == 0
        for recent in range(max(0, number - 4), number + 1):
            assert cache.pages.held(conversation(recent, 5)) == 5 * PAGE, (number, recent)
    assert cache.pages.held(conversation(0, 5)) == 0


def test_a_follow_up_makes_its_beginning_young_again(cache: SimpleNamespace) -> None:
    first = conversation(1, 5)
    answer(cache, first)
    for number in range(2, 20):
        answer(cache, conversation(number, 5))
        assert answer(cache, first) == 5 * PAGE


def test_no_more_goes_than_is_needed_and_from_the_end(cache: SimpleNamespace) -> None:
    old = conversation(1, 30)
    answer(cache, old)
    # Three pages are free, one of them for the position behind the last whole page.
    answer(cache, conversation(2, 5))
    assert cache.pages.held(old) == 27 * PAGE
    assert cache.pages.held(conversation(2, 5)) == 5 * PAGE


def test_pages_in_use_never_go_and_kept_ones_count_as_free(cache: SimpleNamespace) -> None:
    answer(cache, conversation(1, 20), leave=False)
    answer(cache, conversation(2, 10))
    assert cache.made.compute_free_capacity() == pytest.approx(12 / 33)
    too_long = RequestState("long", conversation(3, 20))
    assert not cache.made.can_store_request_tokens(too_long, len(too_long.initial_tokens))
    assert cache.pages.held(conversation(2, 10)) == 10 * PAGE, "it would not have helped"
    assert cache.pages.held(conversation(1, 20)) == 20 * PAGE


def test_pages_tell_the_pictures_they_hold(cache: SimpleNamespace) -> None:
    one, other = ([base + at for at in range(3 * PAGE)] + [0] for base in (PICTURE, 2 * PICTURE))
    answer(cache, one)
    answer(cache, other, leave=False)
    assert cache.pages.ids() == {*one[:-1], *other[:-1]}
    for number in range(1, 7):
        answer(cache, conversation(number, 5))
    assert cache.pages.ids() == set(other[:-1])


def test_where_nothing_is_shared_nothing_is_held() -> None:
    made = empty(33, share=False)
    cache = SimpleNamespace(made=made, pages=Pages(made, PICTURE), number=0)
    assert answer(cache, conversation(1, 5)) == answer(cache, conversation(1, 5)) == 0
    assert cache.pages.held(conversation(1, 5)) == 0 and cache.pages.ids() == set()
    assert made.compute_free_capacity() == 1
