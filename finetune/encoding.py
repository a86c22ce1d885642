"""A sample to what the model is trained on: tokens, labels and slices, by the code that inference uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from app.errors import AppError
from app.families.base import Family
from app.messages import Message, Text
from app.modeling.processing import MiniCPMVProcessor
from app.modeling.runner import Turn
from app.sampling import BY_NAME, SamplingParams
from finetune.errors import SampleError
from finetune.media import BrokenMediaError, OutlineReader, SampleReader
from finetune.samples import Sample
from finetune.writing import ConversationWriter, NativeWriter, Written

__all__ = ["Encoder", "Example", "Fitted", "SampleError"]


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation as the model takes it.

    Attributes:
        input_ids: int64 (L,).
        labels: int64 (L,), -100 where there is no loss; the library shifts them.
        pixel_values: per slice as the family's image processor gives it.
        tgt_sizes: int32 (slices, 2), (rows, cols) in patches.
        image_bound: int64 (slices, 2), half-open positions of the features.
        native: what a model of the library's own takes instead of the last three, by its names.
        line: of the entry in the data file.
        dropped: messages at the end that did not fit.
    """

    input_ids: Tensor
    labels: Tensor
    pixel_values: list[Tensor] = field(default_factory=list)
    tgt_sizes: Tensor = field(default_factory=lambda: torch.zeros(0, 2, dtype=torch.int32))
    image_bound: Tensor = field(default_factory=lambda: torch.zeros(0, 2, dtype=torch.int64))
    native: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A sample cut to the length that is trained.

    Attributes:
        messages: how many of its messages are kept, from the first.
        tokens: of those; image features included.
        answers: how many tokens of those are learned.
    """

    messages: int
    tokens: int
    answers: int


class Encoder:
    """Makes examples for one model.

    What is too long loses its last questions with their answers: what stays is a conversation as inference has it,
    its pictures included.

    Args:
        processor: of the model, or its runner.
        family: of the model.
        max_length: tokens of an example at most, image features included.
        max_slice_nums: cells of an image at most.
        max_frames: frames of a video at most, where the video does not say.
        downsample_mode: patches per feature, for families that have the option.
    """

    def __init__(
        self,
        processor: Any,
        family: Family,
        max_length: int = 2048,
        max_slice_nums: int = BY_NAME["max_slice_nums"].default,
        max_frames: int = BY_NAME["max_frames"].default,
        downsample_mode: str = BY_NAME["downsample_mode"].default,
    ) -> None:
        processor = getattr(processor, "processor", processor)
        params = SamplingParams(max_slice_nums=max_slice_nums, max_frames=max_frames, downsample_mode=downsample_mode)
        own = isinstance(processor, MiniCPMVProcessor)
        self.max_length = max_length
        self.writer: ConversationWriter | NativeWriter = (
            ConversationWriter(processor, family, params) if own else NativeWriter(processor, family, params)
        )
        options: dict[str, Any] = {
            "max_slice_nums": max_slice_nums,
            "max_frames": max_frames,
            "frame_slices": family.frame_slices,
            "video_reader": "pyav",
            "on_frames": lambda done, total: None,
            "cancelled": lambda: False,
        }
        self._decoder = SampleReader(**options)
        self._outliner = OutlineReader(**options)
        self._verifier = OutlineReader(**options, verify=True)

    def encode(self, sample: Sample) -> Example:
        """The example of a sample.

        Raises:
            SampleError: its entry or a file cannot be used, or not even its first answer fits.
        """
        with _at_line(sample):
            turns, written = self._fit(sample, self._decoder.read)
            vision = self.writer.vision(turns, written.ids)
        return Example(
            input_ids=torch.tensor(written.ids),
            labels=torch.tensor(written.labels),
            line=sample.line,
            dropped=len(sample.messages) - len(turns),
            **vision,
        )

    def measure(self, sample: Sample, verify: bool = False) -> Fitted:
        """What `encode` would give, from the headers of the media alone.

        Args:
            verify: also look whether the media's files are whole.

        Raises:
            SampleError: as `encode`.
        """
        with _at_line(sample):
            turns, written = self._fit(sample, (self._verifier if verify else self._outliner).read)
        return Fitted(len(turns), len(written.ids), sum(label >= 0 for label in written.labels))

    def split(self, sample: Sample) -> list[Sample]:
        """The sample, or several that end earlier and learn the later answers apart.

        Needed where a later turn changes how inference writes or encodes the turns before it: a video that comes
        later takes the numbers from the pictures, many frames are cut less, in one family a longer slice changes
        the features of all others, and some templates rewrite older answers.

        Raises:
            SampleError: as `measure`.
        """
        with _at_line(sample):
            answers = [index for index, message in enumerate(sample.messages) if message.role == "assistant"]
            if not self.writer.one_answer and not _media_after(sample.messages, answers[0]):
                return [sample]
            turns = self._outliner.read
            stages = [self.writer.stage(turns(sample.messages[:answer])) for answer in answers]
        pieces, start = [], sample.learn_from
        for number, answer in enumerate(answers):
            if number + 1 == len(answers) or stages[number + 1] != stages[number]:
                pieces.append(replace(sample, messages=sample.messages[: answer + 1], learn_from=start))
                start = answer + 1
        return [piece for piece in pieces if len(piece.messages) > piece.learn_from]

    def _fit(self, sample: Sample, read: Callable[[Sequence[Message]], list[Turn]]) -> tuple[list[Turn], Written]:
        """As many of the first turns as fit, and their tokens."""
        messages = sample.messages
        while True:
            turns = read(messages)
            written = self.writer.write(turns, sample.learn_from)
            if len(written.ids) <= self.max_length:
                return turns, written
            kept = [index for index, end in written.ends if end <= self.max_length]
            if not kept or kept[-1] < sample.learn_from:
                tokens = next(end for index, end in written.ends if index >= sample.learn_from)
                raise SampleError(
                    sample.line,
                    "length",
                    f"Up to the end of the answer there are {tokens:,} tokens; {self.max_length:,} fit.",
                    "Raise --model_max_length, or lower --max_slice_nums.",
                )
            messages = messages[: kept[-1] + 1]


@contextmanager
def _at_line(sample: Sample) -> Iterator[None]:
    """Errors as errors of this sample."""
    if sample.fault is not None:
        raise sample.fault
    try:
        yield
    except SampleError:
        raise
    except BrokenMediaError as error:
        media = [part for message in sample.messages for part in message.content if not isinstance(part, Text)]
        number = next(number for number, part in enumerate(media, 1) if part is error.part)
        text = f"Picture or video {number} of {len(media)}: {error.message}"
        raise SampleError(sample.line, "media", text, error.hint) from None
    except AppError as error:
        raise SampleError(sample.line, "model", error.message, error.hint) from None


def _media_after(messages: Sequence[Message], index: int) -> bool:
    return any(not isinstance(part, Text) for message in messages[index:] for part in message.content)
