"""The pages of keys and values that the scheduler keeps for later prompts: the least recently used go first.

The library drops all of them at once where room is short. Here they count as free, and a step takes as many as it
needs. A prompt's last pages go before those they follow on, without which nobody would find them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from transformers.generation.continuous_batching.cache_allocators.cache_allocator import BlockLedger


class LatestLedger(BlockLedger):
    """The library's book of pages, which can forget some of those that nobody uses."""

    def evict_oldest(self, count: int) -> list[int]:
        """Forget so many, the least recently used first; gives their numbers."""
        kept = dict(islice(self.cached_blocks.items(), count, None))
        for page in kept:
            del self.cached_blocks[page]
        evicted = self.evict_cached_blocks()
        self.cached_blocks.update(kept)
        return evicted


class Pages:
    """Those of one scheduler, whose cache works by these rules from now on; any thread may ask.

    Args:
        cache: the library's, not used yet. Once it is gone, nothing is held.
        first: token ids from this one on are told by `ids`.
    """

    def __init__(self, cache: Any, first: int) -> None:
        self._ids: dict[int, tuple[int, ...]] = {}  # by page
        self._allocator: Callable[[], Any] = lambda: None
        if not cache.use_prefix_sharing:  # nothing outlives its request
            return
        # Only layers that look at all the past share pages, and those have one allocator.
        (allocator,) = cache.cache_allocators.values()
        self._allocator = weakref.ref(allocator)
        allocator.ledger = LatestLedger()
        cache.can_store_request_tokens = _making_room(cache.can_store_request_tokens, allocator)
        cache.compute_free_capacity = _counting_kept(cache.compute_free_capacity, cache, allocator)
        allocator.free_blocks = _from_the_end(allocator.free_blocks, allocator)
        allocator.mark_complete_blocks = _noting_ids(allocator.mark_complete_blocks, allocator, first, self._ids)

    def held(self, prompt: Sequence[int]) -> int:
        """Positions of a prompt that pages hold at this moment, its last one never among them."""
        allocator = self._allocator()
        return 0 if allocator is None else len(allocator.match_prefix_blocks(prompt)) * int(allocator.tokens_per_page)

    def ids(self) -> set[int]:
        """Token ids from `first` on that pages hold, or held a moment ago."""
        allocator = self._allocator()
        pages = () if allocator is None else list(allocator.ledger.block_to_hash)
        return {one for page in pages for one in self._ids.get(page, ())}


def _making_room(store: Callable[..., bool], allocator: Any) -> Callable[..., bool]:
    """What nobody uses goes where a request needs it, if that is enough."""

    def can_store(state: Any, length: int, dry_run: bool = False) -> bool:
        pool, ledger, index = allocator.pool, allocator.ledger, allocator.index
        free = pool.count_free_blocks(index) + pool.num_free_sectors * allocator.blocks_per_sector
        missing = allocator.needs_new_blocks(state.request_id, state.current_len(), length) - free
        if 0 < missing <= len(ledger.cached_blocks):
            pool.free_blocks(index, ledger.evict_oldest(missing))
        return store(state, length, dry_run)

    return can_store


def _counting_kept(capacity: Callable[..., float], cache: Any, allocator: Any) -> Callable[..., float]:
    """What nobody uses is free, so that the library need not drop it to have some to spare."""

    def free_capacity(relative: bool = True) -> float:
        kept = len(allocator.ledger.cached_blocks) * allocator.bytes_per_block
        return capacity(relative) + kept / (cache.num_sectors * cache.bytes_per_sector if relative else 1)

    return free_capacity


def _from_the_end(free: Callable[..., None], allocator: Any) -> Callable[..., None]:
    """A request lets go of its last page first, which thereby is the older one."""

    def free_blocks(request_id: str, no_cache: bool = False) -> None:
        allocator.block_table.get(request_id, []).reverse()
        free(request_id, no_cache)

    return free_blocks


def _noting_ids(
    mark: Callable[..., None], allocator: Any, first: int, ids: dict[int, tuple[int, ...]]
) -> Callable[..., None]:
    """Note what stands in pages that are full now."""

    def mark_complete(request_id: str, tokens: list[int], count: int) -> None:
        table, known, length = (
            allocator.block_table[request_id],
            allocator.ledger.block_to_hash,
            allocator.tokens_per_page,
        )
        new = [at for at, page in enumerate(table) if page not in known]
        mark(request_id, tokens, count)
        for at in new:
            if table[at] in known:
                ids[table[at]] = tuple(one for one in tokens[at * length : (at + 1) * length] if one >= first)

    return mark_complete
