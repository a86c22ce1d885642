"""Samples as the library's trainer takes them; bad ones are skipped and said."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from finetune.encoding import Encoder, Example
from finetune.errors import DataError, SampleError
from finetune.samples import Sample

OnSkip = Callable[[SampleError], None]
OnCut = Callable[[int, int], None]


class SampleDataset(Dataset[Example]):
    """Examples, made when they are asked for.

    A sample that turns out bad is reported once, and the next good one takes its place; which ones were bad is
    known in the main process too when other processes load.

    Args:
        samples: as they are read.
        encoder: of the model.
        on_skip: told of each bad sample, in the process that met it.
        at_once: told of those that are bad before anything is encoded, which every process of a run meets; None is
            `on_skip`.
        on_cut: told of each sample that lost turns for length, in the process that met it: its line, and how many
            messages.

    Attributes:
        met: int32 (2, examples): 1 for a bad one, and how many messages did not fit.

    Raises:
        DataError: no sample has the form of one.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        encoder: Encoder,
        on_skip: OnSkip,
        at_once: OnSkip | None = None,
        on_cut: OnCut = lambda line, count: None,
    ) -> None:
        self.encoder = encoder
        self.on_skip = on_skip
        self.on_cut = on_cut
        self.samples: list[Sample] = []
        self._skipped_at_once: set[int] = set()
        for sample in samples:
            try:
                self.samples.extend(encoder.split(sample))
            except SampleError as error:
                self._skipped_at_once.add(sample.line)
                (at_once or on_skip)(error)
        if not self.samples:
            raise _nothing_good(len(samples))
        self.met = torch.zeros(2, len(self.samples), dtype=torch.int32).share_memory_()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Example:
        """The example at an index, or the next good one.

        Raises:
            DataError: there is none.
        """
        bad, cut = self.met
        for step in range(len(self.samples)):
            place = (index + step) % len(self.samples)
            if bad[place]:
                continue
            try:
                example = self.encoder.encode(self.samples[place])
            except SampleError as error:
                bad[place] = 1
                self.on_skip(error)
                continue
            if example.dropped and not cut[place]:
                cut[place] = example.dropped
                self.on_cut(example.line, example.dropped)
            return example
        raise _nothing_good(len(self.samples))

    def add(self, met: Tensor) -> None:
        """Count what other processes met too: int32 (processes, 2, examples)."""
        self.met.copy_(torch.maximum(self.met, met.amax(0)))

    @property
    def skipped(self) -> list[int]:
        """The lines of all samples found bad so far."""
        return sorted(self._lines(0).keys() | self._skipped_at_once)

    @property
    def shortened(self) -> dict[int, int]:
        """The lines of all samples that lost turns so far, and how many messages each."""
        return self._lines(1)

    def _lines(self, row: int) -> dict[int, int]:
        return {sample.line: n for sample, n in zip(self.samples, self.met[row].tolist(), strict=True) if n}


def _nothing_good(count: int) -> DataError:
    return DataError(
        f"None of the {count:,} samples can be trained on.", "Run `python -m finetune --check` to see why."
    )
