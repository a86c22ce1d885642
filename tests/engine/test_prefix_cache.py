"""The caches of conversations: found by what they share with a prompt, cut or copied, bounded, never mixed up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from app.engine.prefix_cache import Held, Keys, PrefixCache, common_length, size_of
from app.media.clip import Cancelled

BYTES = 8  # of one position: two tensors of one float


def keys(*values: int) -> Keys:
    return np.array(values, np.int64)


def fill(held: Held, upto: int, rows: int = 1) -> None:
    """Compute positions: each holds its own key."""
    values = torch.tensor(held.keys[held.length : upto], dtype=torch.float32).view(1, 1, -1, 1).expand(rows, -1, -1, -1)
    held.cache.update(values.clone(), values.clone(), 0)


def answered(kept: PrefixCache, prompt: Keys, *tokens: int, owner: str = "") -> int:
    """One answer; returns how many positions were reused."""
    with kept.borrow(prompt, owner) as held:
        assert contents(held) == prompt[: held.reused].tolist()
        fill(held, len(prompt))
        held.extend(list(tokens))
        fill(held, len(held.keys) - 1)  # the last token has not been read by the model
    return held.reused


def contents(held: Held) -> list[int]:
    return held.cache.layers[0].keys.flatten().int().tolist() if held.length else []


@pytest.fixture
def kept() -> PrefixCache:
    return PrefixCache(1000 * BYTES, DynamicCache)


def test_a_follow_up_computes_only_what_is_new(kept: PrefixCache) -> None:
    assert answered(kept, keys(1, 2, 3), 4, 5) == 0
    assert answered(kept, keys(1, 2, 3, 4, 5, 6, 7), 8) == 4
    assert len(kept._kept) == 1


def test_a_regenerated_answer_leaves_one_position_to_compute(kept: PrefixCache) -> None:
    answered(kept, keys(1, 2, 3), 4)
    assert answered(kept, keys(1, 2, 3), 9) == 2


def test_an_edited_question_reuses_what_stands_before_it(kept: PrefixCache) -> None:
    answered(kept, keys(1, 2, 3, 4, 5, 6), 7, 8)
    assert answered(kept, keys(1, 2, 3, 40, 50), 9) == 3


def test_another_conversation_copies_what_it_shares_and_takes_nothing_away(kept: PrefixCache) -> None:
    answered(kept, keys(1, 2, 3, 4, 5, 6, 7, 8), 9, 9)
    assert answered(kept, keys(1, 2, 30), 31) == 2
    assert answered(kept, keys(1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10), 11) == 9


def test_nothing_is_shared_between_adapters(kept: PrefixCache) -> None:
    answered(kept, keys(1, 2, 3), 4)
    assert answered(kept, keys(1, 2, 3, 4, 5), 6, owner="mine") == 0
    assert answered(kept, keys(1, 2, 3, 4, 5), 6) == 3


def test_the_least_recently_used_go_first() -> None:
    kept = PrefixCache(9 * BYTES, DynamicCache)
    for start in (10, 20, 30):  # three positions each, of which the cache holds all
        answered(kept, keys(start, start + 1, start + 2), start + 3)
    assert answered(kept, keys(10, 11, 12), 13) == 2
    answered(kept, keys(40, 41, 42), 43)
    assert kept.bytes <= kept.most
    assert answered(kept, keys(20, 21, 22), 23) == 0
    assert answered(kept, keys(10, 11, 12), 13) == 2


def test_what_is_larger_than_all_room_is_not_kept() -> None:
    kept = PrefixCache(2 * BYTES, DynamicCache)
    answered(kept, keys(1, 2, 3), 4)
    assert kept.bytes == 0 and answered(kept, keys(1, 2, 3), 4) == 0


def test_no_room_keeps_nothing() -> None:
    kept = PrefixCache(0, DynamicCache)
    answered(kept, keys(1, 2, 3), 4)
    assert kept.bytes == 0


def test_a_cancelled_answer_leaves_what_was_computed(kept: PrefixCache) -> None:
    with pytest.raises(Cancelled), kept.borrow(keys(1, 2, 3, 4, 5)) as held:
        fill(held, 3)
        raise Cancelled
    assert answered(kept, keys(1, 2, 3, 4, 5), 6) == 3


def test_a_failed_answer_leaves_nothing(kept: PrefixCache) -> None:
    with pytest.raises(RuntimeError), kept.borrow(keys(1, 2, 3)) as held:
        fill(held, 2)
        raise RuntimeError
    assert kept.bytes == 0


def test_of_several_beams_the_prompt_is_kept_once(kept: PrefixCache) -> None:
    with kept.borrow(keys(1, 2, 3)) as held:
        fill(held, 3, rows=4)
        held.extend([7, 8])
        fill(held, 5, rows=4)
    assert kept.bytes == 3 * BYTES
    assert answered(kept, keys(1, 2, 3, 7, 8), 9) == 3


class _Summed:
    """A layer that sums up all positions, as linear attention does."""

    is_croppable = False
    is_sliding = False


def test_what_sums_up_the_past_is_reused_only_as_a_whole(kept: PrefixCache) -> None:
    answered(kept, keys(1, 2, 3), 4, 5)
    kept._kept[0].cache.layers.append(_Summed())
    assert answered(kept, keys(1, 2, 3), 6) == 0
    # The first is still there, and a prompt that goes on from all of it takes it.
    with kept.borrow(keys(1, 2, 3, 4, 50, 60)) as held:
        assert held.reused == 4


def test_position_by_position() -> None:
    assert common_length(keys(1, 2, 3), keys(1, 2, 4, 5)) == 2
    assert common_length(keys(1, 2), keys(1, 2, 3)) == 2
    assert common_length(keys(), keys(1)) == 0
    assert size_of(DynamicCache()) == 0
