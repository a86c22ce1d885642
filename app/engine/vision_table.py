"""Image features under token ids of their own, so that a scheduler that knows only ids can serve pictures too.

Each feature has an id behind the vocabulary, the same for equal features for as long as a request or a page of the
cache has it. So the scheduler's sharing of equal beginnings is right for pictures as well, and an id means something
else only when nothing remembers what it meant.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from app.engine.loader import LoadedModel
from app.sampling import BY_NAME

# Far behind every vocabulary of the family, and within 32 bits, as the scheduler keeps ids.
FIRST = 1 << 24
LAST = 1 << 31
# Pictures whose ids are remembered before it is looked which of them nothing needs any more.
MOST_REMEMBERED = 1024

# Features of pictures, by digest.
Late = Callable[[], Mapping[bytes, Tensor]]


def least_bytes(loaded: LoadedModel) -> int:
    """Bytes of the features of one picture that is cut as finely as it may be where nobody says otherwise."""
    slices = 1 + BY_NAME["max_slice_nums"].default if loaded.family.slicing else 1
    vectors = loaded.runner.batched_model().get_input_embeddings().weight
    count = slices * loaded.processor.image_processor.image_feature_size
    return int(count * vectors.shape[1] * vectors.element_size())


@dataclass(slots=True, eq=False)
class _Entry:
    """A picture in use.

    Attributes:
        late: computes the features where they are needed and not there.
        users: requests. readers: of them, those whose prompts have not been read to their end.
    """

    late: Late
    users: int = 0
    readers: int = 0
    features: Tensor | None = None


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
        self._ids: dict[bytes, range] = {}
        self._next = FIRST
        self._most = MOST_REMEMBERED
        self._in_pages: Callable[[], Collection[int]] = tuple
        self._held: dict[bytes, _Entry] = {}
        self._lock = threading.Lock()

    @property
    def weight(self) -> Tensor:
        """The model's own."""
        return self.own.weight

    @property
    def held_bytes(self) -> int:
        """Of the features that are here."""
        with self._lock:
            return sum(entry.features.nbytes for entry in self._held.values() if entry.features is not None)

    @property
    def used(self) -> int:
        """Pictures that requests use."""
        return len(self._held)

    @property
    def remembered(self) -> int:
        """Pictures whose ids have a meaning."""
        return len(self._ids)

    def watch(self, in_pages: Callable[[], Collection[int]]) -> None:
        """Name the cache, whose pages' ids keep their meaning: it tells them."""
        self._in_pages = in_pages

    def hold(self, digest: bytes, count: int, late: Late) -> range:
        """The ids of a picture's features, which can be embedded until `release`.

        Args:
            late: computes the features, of this picture and possibly others, if `put` never brings them.
        """
        with self._lock:
            if digest not in self._ids:
                self._ids[digest] = self._place(count)
            entry = self._held.setdefault(digest, _Entry(late))
            entry.late = late
            entry.users += 1
            entry.readers += 1
            return self._ids[digest]

    def put(self, features: Mapping[bytes, Tensor]) -> None:
        """Features of pictures in use, (..., hidden_size) each, in the order of their ids."""
        with self._lock:
            for digest, found in features.items():
                entry = self._held.get(digest)
                if entry is not None and entry.features is None:
                    entry.features = found.flatten(0, -2)

    def read(self, digest: bytes) -> None:
        """One request less will read a picture's features: what it asks is in the cache."""
        with self._lock:
            entry = self._held[digest]
            entry.readers -= 1
            if not entry.readers:
                entry.features = None

    def release(self, digest: bytes) -> None:
        """One request less uses a picture; it must have been `read`."""
        with self._lock:
            entry = self._held[digest]
            entry.users -= 1
            if not entry.users:
                del self._held[digest]

    def _place(self, count: int) -> range:
        """Ids that mean nothing now, behind those given last as far as there are any."""
        if len(self._ids) >= self._most:
            self._forget()
        found = self._gap(self._next, count)
        if found is None:
            self._forget()
            found = self._gap(FIRST, count)
        if found is None:
            raise MemoryError("Image features of requests and of the cache take all ids.")
        self._next = found.stop
        return found

    def _gap(self, start: int, count: int) -> range | None:
        """The first free ids from `start` on."""
        for taken in sorted(self._ids.values(), key=lambda ids: ids.start):
            if taken.start < start + count and start < taken.stop:
                start = taken.stop
        return range(start, start + count) if start + count <= LAST else None

    def _forget(self) -> None:
        """Take the ids of pictures that neither a request uses nor a page holds.

        The pages are asked while no request can leave: what a request brought into them is told by one or the other.
        """
        in_pages = set(self._in_pages())
        self._ids = {
            digest: ids for digest, ids in self._ids.items() if digest in self._held or not in_pages.isdisjoint(ids)
        }
        self._most = max(MOST_REMEMBERED, 2 * len(self._ids))

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
            held = [(digest, self._ids[digest], entry) for digest, entry in self._held.items()]
        for digest, own, entry in held:
            mine = (ids >= own.start) & (ids < own.stop)
            if mine.any():
                embeds[mine] = self._features(digest, entry)[(ids[mine] - own.start).long()].to(embeds)
        return embeds

    def _features(self, digest: bytes, entry: _Entry) -> Tensor:
        """Of a picture in use, if need be computed: its pages have gone since it was found in them."""
        features = entry.features
        if features is None:
            found = entry.late()
            self.put(found)
            features = found[digest].flatten(0, -2)
        return features
