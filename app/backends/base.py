"""What a backend is: it says what it can do, loads, and streams answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.messages import Chunk, Message
from app.meter import Measured
from app.sampling import RARE, SamplingParams
from app.seen import Seen


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the model behind a backend can take, and its defaults. The page shows and hides by it.

    Attributes:
        model: the name to show.
        served_model: the name by which programs ask for it; empty is the same.
        max_images: images in one conversation; None is no limit.
        video, system_prompt, few_shot, beam_search: whether it takes them.
        context: tokens of prompt and answer together; 0 is unknown.
        defaults: the family's own option defaults, as `SamplingParams.of` takes them.
        hidden_options: names of options without effect here; their controls are not shown. "beam.NAME" has none under
            beam search.
        random_weights: the checkpoint was never trained; its answers are noise and the page says so.
        has_chat: the model's class has the documented `chat`; the library's own classes have none.
        adapters: names of the adapters that a request may ask for (`SamplingParams.adapter`).
        logprobs: whether it tells log probabilities (`SamplingParams.logprobs`).
    """

    model: str
    max_images: int | None = None
    video: bool = True
    system_prompt: bool = True
    few_shot: bool = True
    beam_search: bool = True
    context: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)
    hidden_options: frozenset[str] = RARE
    random_weights: bool = False
    has_chat: bool = True
    adapters: tuple[str, ...] = ()
    logprobs: bool = False
    served_model: str = ""


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """How far loading is.

    Attributes:
        state: "loading", "ready" or "failed"; "away" while what answers is elsewhere and does not, which may pass.
        detail: what is being done or what failed, for the user; may be empty.
        fraction: 0 to 1 where it is known.
    """

    state: Literal["loading", "ready", "failed", "away"]
    detail: str = ""
    fraction: float | None = None


class Backend(ABC):
    """One source of answers, shared by all users of the server; every method may be called from any thread."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """Known before the weights are loaded."""

    @property
    def settled(self) -> bool:
        """Whether the capabilities stay as they are; those of an engine elsewhere are known once it is up."""
        return True

    @abstractmethod
    def start(self) -> None:
        """Begin loading in the background; returns at once. Called once."""

    @abstractmethod
    def status(self) -> LoadStatus:
        """How far loading is, without waiting."""

    @abstractmethod
    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        """Answer the last message.

        Yields a chunk at least every 0.1 s, an empty one if nothing is new, so that its consumer can stop it:
        closing the generator ends the generation within one token and frees the device. Waits for loading and
        for its turn on the device, both with progress chunks. The last chunk has `finish_reason` and `usage`.

        Args:
            messages: the conversation, oldest first; the last one is the user's. A system message comes from
                `params.system_prompt`, never from here.
            user: whose request it is, a page for example; where requests wait, users take turns. "A/B" is B, one of
                those who share the turns of A.

        Raises:
            AppError: typed and readable; the backend goes on serving.
        """

    def inspect(self, messages: Sequence[Message], params: SamplingParams) -> Seen | None:
        """What the model is given for a conversation; None where that is not known here.

        May take as long as decoding all its pictures and videos.

        Raises:
            AppError: a file cannot be used any more, or the last message alone does not fit the context.
        """
        return None

    def measure(self, messages: Sequence[Message], params: SamplingParams) -> Measured | None:
        """What answering the last message would take; None where that is not known. Quick: nothing is decoded.

        Raises:
            AppError: a file cannot be used, or the model does not take such a conversation.
        """
        return None

    def close(self) -> None:
        """Free everything; the backend is not used again."""
        return None
