"""Read a whole data set before training on it: what is wrong, and in which line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.families.base import Family
from app.modeling.processing import MiniCPMVProcessor
from finetune.encoding import Encoder, Fitted
from finetune.errors import Kind, SampleError
from finetune.samples import Sample

SHOWN = 20
TITLES: dict[Kind, str] = {
    "form": "not of a known form",
    "roles": "roles out of order",
    "empty": "empty questions or answers",
    "marks": "marks without a picture",
    "media": "missing or broken media",
    "length": "too long, even the first answer",
    "model": "not what this model takes",
}


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        samples: entries in the file.
        examples: what they become; some conversations are learned in parts.
        tokens: of all examples, image features included. learned: those with loss. longest: of one example.
        faults: entries that training would skip.
        notes: lines, and what their author should know.
        shortened: lines, and how many messages at the end do not fit.
    """

    samples: int = 0
    examples: int = 0
    tokens: int = 0
    learned: int = 0
    longest: int = 0
    faults: list[SampleError] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    shortened: list[tuple[int, int]] = field(default_factory=list)

    @property
    def good(self) -> int:
        """Entries that can be trained on."""
        return self.samples - len({fault.line for fault in self.faults})

    def text(self, shown: int = SHOWN) -> str:
        """The report to read, at most `shown` lines of each kind."""
        kinds = Counter(fault.kind for fault in self.faults)
        lines = [f"{self.good:,} of {self.samples:,} samples can be trained on."]
        if self.examples:
            lines.append(
                f"{self.examples:,} examples, {self.tokens:,} tokens ({self.tokens // self.examples:,} on average,"
                f" {self.longest:,} at most), {self.learned:,} of them learned."
            )
        for kind, title in TITLES.items():
            found = [str(fault) for fault in self.faults if fault.kind == kind]
            lines += _listed(f"{kinds[kind]:,} skipped: {title}", found, shown)
        messages = sum(count for _, count in self.shortened)
        cut = [f"line {line}: the last {count} messages do not fit" for line, count in self.shortened]
        lines += _listed(f"{len(cut):,} shortened: {messages:,} messages dropped, the last of each", cut, shown)
        lines += _listed(f"{len(self.notes):,} to look at", [f"line {at}: {note}" for at, note in self.notes], shown)
        return "\n".join(lines)


def check_samples(
    samples: Sequence[Sample], encoder: Encoder, on_progress: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Look at every sample as training would, from the headers of its media; no picture is decoded but rare kinds.

    Args:
        on_progress: called with samples done and in all.
    """
    report = CheckReport(samples=len(samples))
    for done, sample in enumerate(samples, 1):
        report.notes.extend((sample.line, note) for note in sample.notes)
        try:
            _add(report, sample, encoder)
        except SampleError as fault:
            report.faults.append(fault)
        if on_progress:
            on_progress(done, len(samples))
    return report


def _add(report: CheckReport, sample: Sample, encoder: Encoder) -> None:
    fitted: list[Fitted] = []
    for piece in encoder.split(sample):
        try:
            fitted.append(encoder.measure(piece, verify=True))
        except SampleError as fault:
            if fault.kind != "length" or not fitted:
                raise
    report.examples += len(fitted)
    report.tokens += sum(one.tokens for one in fitted)
    report.learned += sum(one.answers for one in fitted)
    report.longest = max(report.longest, *(one.tokens for one in fitted))
    missing = len(sample.messages) - max(one.messages for one in fitted)
    if missing:
        report.shortened.append((sample.line, missing))


def read_processor(folder: Path, family: Family) -> Any:
    """The processor of a checkpoint's folder, without its weights.

    Raises:
        CheckpointError: its files contradict each other.
    """
    runner: Any = family.runner
    return MiniCPMVProcessor.from_pretrained(folder) if runner is None else runner.processor_class.read(folder)


def _listed(title: str, lines: Sequence[str], shown: int) -> list[str]:
    """A title and the first lines under it; nothing if there are none."""
    if not lines:
        return []
    more = [f"  ... and {len(lines) - shown:,} more"] if len(lines) > shown else []
    return [f"{title}:", *(f"  {line}" for line in lines[:shown]), *more]
