"""What the engine asks of a loaded model, whichever family it is of.

The engine knows turns, token counts, embeddings and a cache; a runner knows how its family writes prompts, where
image features go, and how positions are counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image as PILImage
from torch import Tensor
from transformers import DynamicCache

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


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation as the model's inputs.

    Attributes:
        inputs: what the runner that made it needs to embed it.
        tokens: its length.
        vision_tokens: positions filled by image features.
        thinking: the answer begins inside the model's thinking.
    """

    inputs: Any
    tokens: int
    vision_tokens: int
    thinking: bool = False


class Runner(ABC):
    """A model with its processor, as the engine uses them; only one thread at a time calls it.

    Args:
        model: on its device.
        processor: whatever the family made for it.
        family: what is declared of it.
    """

    def __init__(self, model: Any, processor: Any, family: Any) -> None:
        self.model = model
        self.processor = processor
        self.family = family

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

    @abstractmethod
    def count_tokens(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> int:
        """Tokens of the prompt of some turns, from the sizes of their pictures alone.

        Args:
            video: whether the conversation has one, be it in turns that were left out.
        """

    @abstractmethod
    def prepare(self, turns: Sequence[Turn], params: SamplingParams, video: bool) -> Prompt:
        """The same prompt, ending with the opening of an answer. Text is never read as markup."""

    @abstractmethod
    def embed(self, prompt: Prompt, on_progress: ProgressHook) -> Tensor:
        """(1, L, hidden_size): the prompt as embeddings; `on_progress` may raise to stop."""

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
