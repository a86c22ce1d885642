"""What travels between the page and the model: messages down, chunks up.

Media stay in the turn, and at the place in the turn, where the user put them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from app.meter import Measured

Role: TypeAlias = Literal["system", "user", "assistant"]
FinishReason: TypeAlias = Literal["stop", "length"]
Stage: TypeAlias = Literal["queue", "load", "decode_video", "encode_images", "prefill", "search"]

LEAST_LOGPROB = -9999.0  # stands for what is impossible: JSON has no infinity


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text: never read as markup for the model, whatever it contains."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, as a file that is read late or as pixels already in memory.

    Of a picture that was only opened the pixels are read now: those who estimate and those who answer look at it at
    once, which Pillow allows of pixels only. If it is damaged, its reader says so later.
    """

    source: Path | PILImage

    def __post_init__(self) -> None:
        if not isinstance(self.source, Path):
            with suppress(Exception):  # decoders raise errors of many types
                self.source.load()


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Which frames of a clip are looked at.

    Attributes:
        start, end: seconds from the first frame; None is the clip's end.
        fps: frames per second; those of the request's `max_frames` that are too many make way evenly.
        count: so many frames evenly over the range instead, if it has them.
        scenes: the frames that differ most from those before them instead, at most `count` or `max_frames`.
        dropped: frames left out, by their number in the clip from 0.
    """

    start: float = 0.0
    end: float | None = None
    fps: float = 1.0
    count: int | None = None
    scenes: bool = False
    dropped: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Video:
    """A clip and how its frames are chosen.

    Attributes:
        source: the file.
        max_frames: at most so many frames, evenly spread; None takes the request's `max_frames`.
        choice: which frames; all of the clip, one per second, where nothing else is said.
    """

    source: Path
    max_frames: int | None = None
    choice: FrameChoice = FrameChoice()


Part: TypeAlias = Text | Image | Video


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of one speaker."""

    role: Role
    content: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, *parts: Part | str) -> Message:
        """A message of the given parts; a `str` stands for a `Text`."""
        return cls(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))

    @property
    def text(self) -> str:
        """The message's text parts, one per line."""
        return "\n".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost. Times in seconds, counts in tokens.

    Attributes:
        prompt_tokens: the whole prompt, vision tokens included.
        vision_tokens: positions of the prompt filled by image features; None is unknown.
        cached_tokens: positions whose keys and values were reused.
        cached_slices: slices of pictures that were not encoded again.
        new_tokens: tokens generated, the end token included.
        ttft: from the request to the first token; None if there was none.
        tokens_per_second: new tokens after the first over the time since the first; None below two.
        longest_gap: the longest time between two tokens; None below two.
        estimate: what was expected before it began, to be compared; None where nothing was.
        memory: bytes at the peak beyond what was held before; None where that cannot be told.
    """

    prompt_tokens: int = 0
    vision_tokens: int | None = 0
    cached_tokens: int = 0
    new_tokens: int = 0
    ttft: float | None = None
    tokens_per_second: float | None = None
    cached_slices: int = 0
    longest_gap: float | None = None
    estimate: Measured | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step before (or instead of) the first token is; `total` 0 means unknown.

    In the queue `done` is the place in it, and `seconds` about how long until one's turn, None if that is not known.
    """

    stage: Stage
    done: int = 0
    total: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about an answer that is otherwise fine.

    Attributes:
        kind: "turns_dropped" (the oldest `count` messages did not fit the context).
        count: how many.
    """

    kind: Literal["turns_dropped"]
    count: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that could come next.

    Attributes:
        token: its text; U+FFFD where its bytes are no whole character.
        logprob: natural logarithm of its probability, `LEAST_LOGPROB` at least.
        data: its bytes; None is unknown.
    """

    token: str
    logprob: float
    data: bytes | None = None

    def __post_init__(self) -> None:
        if not isfinite(self.logprob) or self.logprob < LEAST_LOGPROB:
            object.__setattr__(self, "logprob", LEAST_LOGPROB)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of an answer, and the likeliest tokens in its place, the likeliest first, itself maybe among them."""

    chosen: Candidate
    top: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """One step of an answer: new text, progress, a notice, or the end with its usage.

    `finish_reason` and `usage` come with the last chunk only. `text` is what is new, not all so far; so is
    `thinking`, what the model says to itself before it answers, which is no part of the answer. `logprobs`, where they
    are asked for, are of the tokens that begin in `text`, at the end also of those that have none.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    progress: Progress | None = None
    notices: tuple[Notice, ...] = field(default=())
    thinking: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
