"""What a message would cost before it is sent, and what would fit where it costs too much. Pure records and search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from app.messages import Image, Message, Video
from app.sampling import SamplingParams


@dataclass(frozen=True, slots=True)
class Measured:
    """What answering a conversation takes, known without doing it.

    Attributes:
        tokens: of the whole prompt, before any turn is left out.
        vision_tokens: of them, positions of picture features.
        attachments: of each picture and clip of the last message, in their order.
        room: tokens that fit beside the answer.
        context: tokens of prompt and answer together.
        dropped: messages that would be left out so that the rest fits.
        too_long: the last turn alone does not fit.
        memory: bytes at the peak beyond what is held already.
        unforeseen: of them, what earlier answers took beyond what their shapes say.
        free: bytes that are free where the model runs; None if that is not known.
        slices: of all pictures that are sent.
        new_tokens: of the prompt, those that earlier answers have probably not left behind.
        new_slices: the same of slices.
        seconds: to the first token; None while nothing is known of it.
    """

    tokens: int
    vision_tokens: int
    attachments: tuple[int, ...]
    room: int
    context: int
    dropped: int = 0
    too_long: bool = False
    memory: int = 0
    unforeseen: int = 0
    free: int | None = None
    slices: int = 0
    new_tokens: int = 0
    new_slices: int = 0
    seconds: float | None = None

    @property
    def short_of_memory(self) -> bool:
        """Whether more memory is needed than there is."""
        return self.free is not None and self.memory > self.free

    @property
    def fits(self) -> bool:
        """Whether all of it fits, every turn included."""
        return self.tokens <= self.room and not self.short_of_memory


FixKind: TypeAlias = Literal["max_slice_nums", "max_frames", "leave_out"]


@dataclass(frozen=True, slots=True)
class Fix:
    """Something that makes a message fit.

    Attributes:
        kind: an option to lower, or how many of the first turns to leave out.
        value: of the option, or the number of turns.
    """

    kind: FixKind
    value: int


Measure: TypeAlias = Callable[[Sequence[Message], SamplingParams], Measured | None]


def way_out(measure: Measure, messages: Sequence[Message], params: SamplingParams, *, ran_out: bool) -> list[Fix]:
    """What to try after an answer found no room.

    Args:
        ran_out: of memory, although it was expected to last: half of what was expected then counts as all there is.
    """
    before = measure(messages, params)
    if before is None:
        return smaller(messages, params)
    most = (before.memory - before.unforeseen) // 2

    def measured(messages: Sequence[Message], params: SamplingParams) -> Measured | None:
        found = measure(messages, params)
        if found is None or not ran_out:
            return found
        free = most + found.unforeseen
        return replace(found, free=free if found.free is None else min(free, found.free))

    parts = [part for message in messages for part in message.content]
    images = any(isinstance(part, (Image, Video)) for part in parts)
    videos = any(isinstance(part, Video) for part in parts)
    fixes = what_fits(measured, messages, params, images=images, videos=videos)
    return fixes or smaller(messages, params)


def smaller(messages: Sequence[Message], params: SamplingParams) -> list[Fix]:
    """Half of each that takes memory: what to try where it ran out and nothing more is known."""
    parts = [part for message in messages for part in message.content]
    fixes: list[Fix] = []
    if params.max_slice_nums > 1 and any(isinstance(part, (Image, Video)) for part in parts):
        fixes.append(Fix("max_slice_nums", params.max_slice_nums // 2))
    if params.max_frames > 1 and any(isinstance(part, Video) for part in parts):
        fixes.append(Fix("max_frames", params.max_frames // 2))
    turns = sum(message.role == "user" for message in messages) - 1
    if turns > 0:
        fixes.append(Fix("leave_out", (turns + 1) // 2))
    return fixes


FRAME_STEPS = (128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)


def what_fits(
    measure: Measure, messages: Sequence[Message], params: SamplingParams, *, images: bool, videos: bool
) -> list[Fix]:
    """The smallest steps back, one of each kind, after which all fits.

    Args:
        images, videos: what the conversation has, and the model can take less of.
    """
    fixes: list[Fix] = []
    if images or videos:
        slices = range(params.max_slice_nums - 1, 0, -1)
        fixes += _first(
            slices, "max_slice_nums", lambda value: measure(messages, replace(params, max_slice_nums=value))
        )
    if videos:
        frames = [value for value in FRAME_STEPS if value < params.max_frames]
        fixes += _first(frames, "max_frames", lambda value: measure(messages, replace(params, max_frames=value)))
    starts = [at for at, message in enumerate(messages) if message.role == "user"]
    fixes += _first(range(1, len(starts)), "leave_out", lambda count: measure(messages[starts[count] :], params))
    return fixes


def _first(
    values: Sequence[int],
    kind: FixKind,
    measured: Callable[[int], Measured | None],
) -> list[Fix]:
    """The first of the values with which all fits, found by halving: each takes no more than the one before."""

    def fits(value: int) -> bool:
        found = measured(value)
        return found is not None and found.fits

    low, high = 0, len(values) - 1
    if not values or not fits(values[high]):
        return []
    while low < high:
        middle = (low + high) // 2
        if fits(values[middle]):
            high = middle
        else:
            low = middle + 1
    return [Fix(kind, values[low])]
