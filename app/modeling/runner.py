"""What the engine asks of a loaded model, whichever family it is of.

The engine knows turns, token counts, embeddings and a cache; a runner knows how its family writes prompts, where
image features go, and how positions are counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL.Image import Image as PILImage
from torch import Tensor
from transformers import DynamicCache

from app.modeling.content import picture_digest, position_keys
from app.sampling import SamplingParams

ProgressHook = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Frames:
    """The chosen frames of one video, in order.

    Attributes:
        pictures: RGB.
        times: when each appears, in seconds.
    """

    pictures: tuple[PILImage, ...]
    times: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One message with its media decoded.

    Attributes:
        content: texts, RGB pictures and videos, in their order.
        limits: for each picture, those of videos included, cells it may be cut into at most.
    """

    role: str
    content: tuple[PILImage | Frames | str, ...]
    limits: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A picture of a prompt, not yet cut or encoded.

    Attributes:
        picture: RGB; where only the layout is wanted, anything that has its size.
        plan: how the runner that made it cuts it.
        spans: half-open positions of the features of each slice.
        grid: (columns, rows) of its cells; None without any.
        tgt_sizes: (rows, columns) of patches of each slice, the overview first.
        digest: of its pixels and of all that decides its features; equal digests, equal features. Empty in a layout.
    """

    picture: PILImage
    plan: Any
    spans: tuple[tuple[int, int], ...]
    grid: tuple[int, int] | None
    tgt_sizes: tuple[tuple[int, int], ...]
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Layout:
    """A conversation laid out from its texts and the sizes of its pictures alone.

    Attributes:
        ids: token ids with places for the features.
        placed: its pictures, in their order.
        thinking: the answer begins inside the model's thinking.
        treatment: what else decides the features of its pictures; told apart by `repr`.
        extra: what else the runner that made it needs.
    """

    ids: Sequence[int]
    placed: tuple[Placed, ...]
    thinking: bool = False
    treatment: tuple[Any, ...] = ()
    extra: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A conversation laid out, its pictures not yet touched.

    Attributes:
        ids: token ids with places for the features.
        placed: its pictures, in their order.
        keys: int64 (length,), what stands at each position: a token's id, or a number made from a picture's digest.
        thinking: the answer begins inside the model's thinking.
        extra: what else the runner that made it needs.
    """

    ids: Sequence[int]
    placed: tuple[Placed, ...]
    keys: NDArray[np.int64]
    thinking: bool = False
    extra: Any = None

    @classmethod
    def of(cls, ids: Sequence[int], placed: Sequence[Placed], **fields: Any) -> Prompt:
        """With the keys that its ids and pictures have."""
        keys = np.asarray(ids, np.int64)
        for one in placed:
            for index, (start, end) in enumerate(one.spans):
                keys[start:end] = position_keys(one.digest, index, end - start)
        return cls(ids, tuple(placed), keys, **fields)

    @property
    def tokens(self) -> int:
        """Its length."""
        return len(self.ids)

    @property
    def vision_tokens(self) -> int:
        """Positions filled by image features."""
        return sum(end - start for one in self.placed for start, end in one.spans)

    @property
    def slices(self) -> int:
        """Of all pictures."""
        return sum(len(one.spans) for one in self.placed)


class Runner(ABC):
    """A model with its processor, as the engine uses them; only one thread at a time calls it.

    Args:
        model: on its device.
        processor: whatever the family made for it.
        family: what is declared of it.

    Attributes:
        features: those of pictures that were encoded, (slices, Q, D) by digest; least recently used first out.
    """

    def __init__(self, model: Any, processor: Any, family: Any) -> None:
        self.model = model
        self.processor = processor
        self.family = family
        self.keep_features(0)

    def keep_features(self, most: int) -> None:
        """Keep the features of pictures in at most so many bytes; what was kept is forgotten."""
        self.features: LRUCache[bytes, Tensor] = LRUCache(most, getsizeof=lambda tensor: tensor.nbytes)

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, model_class: type[Any], **arguments: Any) -> tuple[Any, Any]:
        """Model and processor of a checkpoint; `arguments` are those of `from_pretrained`.

        Raises:
            CheckpointError: the weights do not fit the model, or files contradict each other.
        """

    @property
    def tokenizer(self) -> Any:
        """Of the model."""
        return self.processor.tokenizer

    @property
    @abstractmethod
    def language_model(self) -> Any:
        """The decoder without its head; its config tells what a cache must hold."""

    @property
    @abstractmethod
    def generating_model(self) -> Any:
        """The module that `generate` calls for each token; what it returns has `logits`."""

    def batched_model(self) -> Any:
        """The language model with its head, for a scheduler that knows token ids only; None if that is not enough.

        It is not where positions are not counted one by one, or where layers sum up the past.
        """
        return None

    @abstractmethod
    def lay_out(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Layout:
        """The prompt of some turns, ending with the opening of an answer, from the sizes of their pictures alone.

        Text is never read as markup.

        Args:
            video: whether the conversation has one, be it in turns that were left out.
        """

    def count_tokens(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> int:
        """Tokens of that prompt."""
        return len(self.lay_out(turns, params, video).ids)

    def prepare(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Prompt:
        """That prompt with its pictures, which have to be decoded, told apart by what they show."""
        layout = self.lay_out(turns, params, video)
        placed = [
            replace(one, digest=picture_digest(one.picture, one.plan, *layout.treatment)) for one in layout.placed
        ]
        return Prompt.of(layout.ids, placed, thinking=layout.thinking, extra=layout.extra)

    @abstractmethod
    def model_inputs(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Any:
        """The same prompt with all its pixels, under the names that the model's `forward` has, as a batch of one."""

    @abstractmethod
    def embed(self, prompt: Prompt, on_progress: ProgressHook, start: int = 0) -> tuple[Tensor, int]:
        """The prompt as embeddings.

        Args:
            on_progress: called with slices encoded and to encode; may raise to stop.
            start: what the positions before it hold is not needed.

        Returns:
            (1, L, hidden_size), and how many slices had to be encoded.
        """

    @abstractmethod
    def encode(self, placed: Sequence[Placed], prompt: Prompt, on_progress: ProgressHook) -> list[Tensor]:
        """Features of some of a prompt's pictures, (slices, Q, D) or (features, D) each."""

    def features_of(self, prompt: Prompt, on_progress: ProgressHook, start: int) -> tuple[dict[bytes, Tensor], int]:
        """Features of the pictures that reach beyond `start`, by digest, and how many slices were encoded for them."""
        needed = {one.digest: one for one in prompt.placed if one.spans and one.spans[-1][1] > start}
        found = {digest: self.features[digest] for digest in needed if digest in self.features}
        missing = [one for digest, one in needed.items() if digest not in found]
        if not missing:
            return found, 0
        missing = self.together(missing, prompt)
        for one, features in zip(missing, self.encode(missing, prompt, on_progress), strict=True):
            found[one.digest] = features
            if features.nbytes <= self.features.maxsize:
                self.features[one.digest] = features.clone()
        return found, sum(len(one.spans) for one in missing)

    def together(self, missing: list[Placed], prompt: Prompt) -> list[Placed]:
        """Pictures that must be encoded so that those which are missing get their features."""
        return missing

    @abstractmethod
    def generate(self, prompt: Prompt, embeds: Tensor, cache: DynamicCache, **options: Any) -> Tensor:
        """Go on from a cache that holds a beginning of the prompt, possibly nothing.

        Args:
            options: as for `transformers.GenerationMixin.generate`.

        Returns:
            int64 (1, new tokens).
        """

    @property
    def thinking_marks(self) -> tuple[int, int] | None:
        """Ids of the tokens that begin and end the model's thinking, if it has them."""
        return None

    def new_cache(self) -> DynamicCache:
        """An empty cache for this model."""
        return DynamicCache(config=self.language_model.config)

    def prefill(self, prompt: Prompt, embeds: Tensor, start: int, stop: int, cache: DynamicCache) -> None:
        """Add the positions from `start` up to `stop` to the cache, which holds those before."""
        self.language_model(inputs_embeds=embeds[:, start:stop], past_key_values=cache, use_cache=True)

    def terminators(self) -> list[int]:
        """Ids of the tokens that end an answer."""
        return list(self.tokenizer.convert_tokens_to_ids(list(self.family.terminators)))


def widen(cache: DynamicCache, beams: int) -> None:
    """Give every beam the cache of the prompt; layers without keys and values are widened too."""
    if cache.get_seq_length() and beams > 1:
        cache.reorder_cache(torch.zeros(beams, dtype=torch.int64))


def flat(content: Sequence[PILImage | Frames | str]) -> list[PILImage | str]:
    """A turn's content with its videos as single pictures."""
    return [one for part in content for one in (part.pictures if isinstance(part, Frames) else (part,))]


def has_video(turns: Sequence[Turn]) -> bool:
    """Whether any turn holds a video."""
    return any(isinstance(part, Frames) for turn in turns for part in turn.content)
