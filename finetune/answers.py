"""What the model in training says to evaluation samples, by the code that serves the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from io import BytesIO
from time import monotonic

import torch
from PIL import Image as PILImage

from app.engine.answer import Job, answer
from app.engine.caches import Caches
from app.engine.loader import LoadedModel
from app.errors import AppError
from app.media.images import read_image
from app.messages import Image, Message, Part
from app.modeling.runner import Frames
from app.sampling import SamplingParams
from finetune.loading import Learner
from finetune.media import SampleReader
from finetune.report import Answered
from finetune.samples import InlineImage, Sample

MAX_NEW_TOKENS = 256
MAX_PICTURES = 6


class Answerer:
    """Asks a model that is being trained.

    Args:
        learner: the model, its adapter inside it.
        max_slice_nums: cells of an image at most.
        dtype: what is computed in.
    """

    def __init__(self, learner: Learner, max_slice_nums: int, dtype: torch.dtype) -> None:
        self.learner = learner
        self.dtype = dtype
        self.params = SamplingParams(
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            max_new_tokens=min(MAX_NEW_TOKENS, learner.context // 4),
            max_slice_nums=max_slice_nums,
        )

    def answer(self, samples: Sequence[Sample]) -> list[Answered]:
        """The samples that can be used, with the model's greedy answers to their last questions.

        Afterwards the generators of random numbers are as they were, so that training goes on as if nobody had asked.
        """
        model = self.learner.model
        training, device = model.training, next(model.parameters()).device
        loaded = LoadedModel(model, self.learner.processor, self.learner.family, device, (), self.learner.context)
        exact = self.dtype is torch.float32
        model.eval()
        try:
            with (
                torch.random.fork_rng([device] if device.type == "cuda" else []),
                nullcontext() if exact else torch.autocast(device.type, self.dtype),
            ):
                return [one for sample in samples if (one := self._answered(loaded, sample))]
        finally:
            model.train(training)

    def _answered(self, loaded: LoadedModel, sample: Sample) -> Answered | None:
        """None where the sample cannot be used, which the data set has said already."""
        if sample.fault is not None:
            return None
        *asked, expected = sample.messages
        texts: list[str] = []
        try:
            answer(loaded, self._job(asked, texts), Caches.of(loaded.runner, 0))
            pictures = list(self._pictures(loaded, asked))
        except AppError:
            return None
        turns = [(message.role, message.text) for message in asked]
        return Answered(sample.id, pictures[:MAX_PICTURES], turns, expected.text, "".join(texts))

    def _job(self, asked: Sequence[Message], texts: list[str]) -> Job:
        messages = [Message(one.role, tuple(map(_plain, one.content))) for one in asked]
        return Job(messages, self.params, lambda chunk: texts.append(chunk.text), lambda: False, monotonic())

    def _pictures(self, loaded: LoadedModel, asked: Sequence[Message]) -> Iterator[PILImage.Image]:
        slices, frames = self.params.max_slice_nums, loaded.family.frame_slices
        reader = SampleReader(slices, MAX_PICTURES, frames, "pyav", lambda done, total: None, lambda: False)
        for turn in reader.read(asked):
            for part in turn.content:
                if isinstance(part, Frames):
                    yield from part.pictures
                elif not isinstance(part, str):
                    yield part


def _plain(part: Part) -> Part:
    """A part as the engine takes it: a picture in the data file as its pixels."""
    return Image(read_image(BytesIO(part.source))) if isinstance(part, InlineImage) else part
