"""Image features under token ids of their own, so that a scheduler that knows only ids can serve pictures too.

Each feature has an id behind the vocabulary, the same for equal features for as long as the engine runs. So the
scheduler's sharing of equal beginnings is right for pictures as well, and an id never comes to mean something else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Far behind every vocabulary of the family, and within 32 bits, as the scheduler keeps ids.
FIRST = 1 << 24
LAST = 1 << 31


@dataclass(slots=True, eq=False)
class _Entry:
    features: Tensor
    users: int


class VisionTable(nn.Module):
    """Token embeddings of the model, and beyond them the features of pictures that requests use now.

    Args:
        own: the model's embeddings, which may scale what they give.
        most: ids of a step at most.
    """

    def __init__(self, own: Any, most: int) -> None:
        super().__init__()
        self.own = own
        # The vectors of a step, always in the same place.
        self._vectors = torch.zeros(1, most, own.weight.shape[1], dtype=own.weight.dtype, device=own.weight.device)
        self._step: Tensor | None = None
        self._starts: dict[bytes, int] = {}
        self._next = FIRST
        self._held: dict[bytes, _Entry] = {}
        self._lock = threading.Lock()

    @property
    def weight(self) -> Tensor:
        """The model's own."""
        return self.own.weight

    @property
    def held_bytes(self) -> int:
        """Of the features in use."""
        return sum(entry.features.nbytes for entry in self._held.values())

    def hold(self, digest: bytes, features: Tensor) -> range:
        """The ids of a picture's features, which can be embedded until `release`.

        Args:
            features: (count, hidden_size).
        """
        with self._lock:
            if digest not in self._starts:
                if self._next + len(features) > LAST:
                    raise MemoryError("All ids for image features have been used; the engine must be started again.")
                self._starts[digest] = self._next
                self._next += len(features)
            start = self._starts[digest]
            entry = self._held.setdefault(digest, _Entry(features, 0))
            entry.users += 1
        return range(start, start + len(features))

    def release(self, digest: bytes) -> None:
        """One request less uses a picture's features."""
        with self._lock:
            entry = self._held[digest]
            entry.users -= 1
            if not entry.users:
                del self._held[digest]

    @contextmanager
    def ready(self, ids: Tensor) -> Iterator[None]:
        """For a step of the model: embed its ids (1, L) before it, so that it finds their vectors in one place."""
        vectors = self(ids)
        self._step = self._vectors[:, : ids.shape[1]].copy_(vectors)
        try:
            yield
        finally:
            self._step = None

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (...) to vectors (..., hidden_size)."""
        if self._step is not None:
            return self._step
        beyond = ids >= FIRST
        if not beyond.any():
            return self.own(ids)
        embeds = self.own(ids.masked_fill(beyond, 0))
        with self._lock:
            held = [(self._starts[digest], entry.features) for digest, entry in self._held.items()]
        for start, features in held:
            mine = (ids >= start) & (ids < start + len(features))
            if mine.any():
                embeds[mine] = features[(ids[mine] - start).long()].to(embeds)
        return embeds
