"""Keys and values of conversations, found again by the longest beginning that a new prompt shares with them.

A position is told by a number: a token's id, or for image features one made from the picture's content. So a
follow-up, a regenerated answer, an edited question and another conversation about the same picture are all the same
case, and two different pictures are never taken for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from app.media.clip import Cancelled

Keys = NDArray[np.int64]
# A kept cache is cut back for the new prompt if that loses at most this share of what is shared, else copied.
LOSS = 0.25


@dataclass(slots=True, eq=False)
class Held:
    """A cache while an answer is written with it.

    Attributes:
        owner: whose weights filled it; another's are never reused.
        keys: of all positions that the cache may come to hold, (positions,); what it does not hold yet is cut off.
        reused: positions it held at first.
    """

    owner: str
    keys: Keys
    cache: DynamicCache
    reused: int = 0

    @property
    def length(self) -> int:
        """Positions that the cache holds."""
        return int(self.cache.get_seq_length())

    def extend(self, tokens: list[int]) -> None:
        """Name the positions that tokens have filled behind the prompt."""
        self.keys = np.concatenate([self.keys, np.asarray(tokens, np.int64)])


class PrefixCache:
    """The caches of the last answers, least recently used first out.

    Args:
        most: bytes for all of them.
        new_cache: makes an empty one.
    """

    def __init__(self, most: int, new_cache: Callable[[], DynamicCache]) -> None:
        self.most = most
        self._new_cache = new_cache
        self._kept: list[Held] = []

    @property
    def bytes(self) -> int:
        """What is kept now."""
        return sum(size_of(one.cache) for one in self._kept)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    @contextmanager
    def borrow(self, keys: Keys, owner: str = "") -> Iterator[Held]:
        """A cache that holds as much of the prompt as is known, at most all but its last position.

        At the end it is kept for later, unless something but a cancellation ended the work in the middle.

        Args:
            keys: of the prompt's positions.
            owner: whose weights answer.
        """
        held = self._find(keys, owner)
        try:
            yield held
        except Cancelled:
            self._keep(held, len(keys))
            raise
        self._keep(held, len(keys))

    def _find(self, keys: Keys, owner: str) -> Held:
        wanted = keys[:-1]  # one position is always computed anew: its logits are the answer's first
        shared, best = 0, None
        for one in self._kept:
            common = common_length(one.keys, wanted) if one.owner == owner else 0
            if common > shared and (common == len(one.keys) or can_crop(one.cache)):
                shared, best = common, one
        if best is None:
            return Held(owner, keys, self._new_cache())
        self._kept.remove(best)
        if len(best.keys) - shared <= LOSS * shared or not can_crop(best.cache):
            if shared < best.length:
                best.cache.crop(shared - best.length)
            return Held(owner, keys, best.cache, shared)
        self._kept.append(best)
        return Held(owner, keys, copy_of(best.cache, shared, self._new_cache()), shared)

    def _keep(self, held: Held, prompt: int) -> None:
        """Keep a cache whose positions all have names; of several beams, what they share."""
        if not held.length:
            return
        if batch_of(held.cache) > 1:
            if not can_crop(held.cache):
                return
            held.cache.batch_select_indices(torch.tensor([0]))
            held.cache.crop(min(0, prompt - held.length))
        if held.length > len(held.keys):
            return
        held.keys = held.keys[: held.length]
        # What another one holds from its beginning on need not be kept twice.
        self._kept = [
            one for one in self._kept if one.owner != held.owner or common_length(one.keys, held.keys) < len(one.keys)
        ]
        self._kept.append(held)
        while self._kept and self.bytes > self.most:
            self._kept.pop(0)


def common_length(one: Keys, other: Keys) -> int:
    """Positions from the beginning on that are the same in both."""
    count = min(len(one), len(other))
    different = np.flatnonzero(one[:count] != other[:count])
    return int(different[0]) if len(different) else count


def can_crop(cache: DynamicCache) -> bool:
    """Whether the end of a cache can be taken off: not with states that sum up all the past, or forget the far one."""
    return all(
        getattr(layer, "is_croppable", False)
        and not (layer.is_sliding and layer.get_seq_length() >= layer.sliding_window)
        for layer in cache.layers
    )


def batch_of(cache: DynamicCache) -> int:
    """Rows of a cache that is not empty."""
    return int(next(tensor for tensor in _tensors(cache)).shape[0])


def size_of(cache: DynamicCache) -> int:
    """Bytes of a cache's tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(cache))


def copy_of(cache: DynamicCache, length: int, into: DynamicCache) -> DynamicCache:
    """The first `length` positions of a cache that can be cropped, in memory of their own."""
    for index, layer in enumerate(cache.layers):
        into.update(layer.keys[..., :length, :].clone(), layer.values[..., :length, :].clone(), index)
    return into


def _tensors(cache: DynamicCache) -> Iterator[torch.Tensor]:
    """All states; those of layers that sum up the past lie in dicts."""
    for layer in cache.layers:
        for value in vars(layer).values():
            states = value.values() if isinstance(value, dict) else (value,)
            yield from (state for state in states if isinstance(state, torch.Tensor) and state.ndim > 1)
