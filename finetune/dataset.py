"""Samples as the library's trainer takes them; bad ones are skipped and said."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils.data import Dataset

from finetune.encoding import Encoder, Example
from finetune.errors import DataError, SampleError
from finetune.samples import Sample

OnSkip = Callable[[SampleError], None]


class SampleDataset(Dataset[Example]):
    """Examples, made when they are asked for.

    A sample that turns out bad is reported once, and the next good one takes its place; which ones were bad is
    known in the main process too when other processes load.

    Args:
        samples: as they are read.
        encoder: of the model.
        on_skip: told of each bad sample, in the process that met it.

    Raises:
        DataError: no sample has the form of one.
    """

    def __init__(self, samples: Sequence[Sample], encoder: Encoder, on_skip: OnSkip) -> None:
        self.encoder = encoder
        self.on_skip = on_skip
        self.samples: list[Sample] = []
        self._skipped_at_once: set[int] = set()
        for sample in samples:
            try:
                self.samples.extend(encoder.split(sample))
            except SampleError as error:
                self._skipped_at_once.add(sample.line)
                on_skip(error)
        if not self.samples:
            raise _nothing_good(len(samples))
        self._bad = torch.zeros(len(self.samples), dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Example:
        """The example at an index, or the next good one.

        Raises:
            DataError: there is none.
        """
        for step in range(len(self.samples)):
            place = (index + step) % len(self.samples)
            if self._bad[place]:
                continue
            try:
                return self.encoder.encode(self.samples[place])
            except SampleError as error:
                self._bad[place] = True
                self.on_skip(error)
        raise _nothing_good(len(self.samples))

    @property
    def skipped(self) -> list[int]:
        """The lines of all samples found bad so far."""
        met = {sample.line for sample, bad in zip(self.samples, self._bad.tolist(), strict=True) if bad}
        return sorted(met | self._skipped_at_once)


def _nothing_good(count: int) -> DataError:
    return DataError(
        f"None of the {count:,} samples can be trained on.", "Run `python -m finetune --check` to see why."
    )
