"""What every benchmark takes, and what it gives back."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import Settings
from benchmarks.checkpoint import bench_checkpoint
from finetune.tiny.record import processor

Cases = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure.

    Attributes:
        model: a checkpoint; None takes the benchmark's own, random one.
        device, dtype: as the application's flags.
        repeats: how often each case is measured after its warm-up; medians are given.
        small: sizes at which nothing is learned but that everything runs; for tests.
        scale: of the benchmark's own checkpoint, 1 for 0.14 B parameters.
        plot: where `growth` draws its figures.
        compiled: `decode` measures compiled layers too.
    """

    model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    repeats: int = 3
    small: bool = False
    scale: float = 1.0
    plot: Path | None = None
    compiled: bool = False

    @property
    def folder(self) -> Path:
        """Of the checkpoint; the benchmark's own is made if it is not there."""
        return Path(self.model) if self.model else bench_checkpoint(0.1 if self.small else self.scale)

    def settings(self, **more: Any) -> Settings:
        """The application's, for this checkpoint."""
        return self.settings_of(str(self.folder), **more)

    def settings_of(self, model: str, **more: Any) -> Settings:
        """The application's, for another model."""
        return Settings(model=model, device=self.device, dtype=self.dtype, **more)


def median(values: Sequence[float], digits: int = 4) -> float:
    """Rounded for print."""
    return round(statistics.median(values), digits)


def machine(device: str) -> dict[str, Any]:
    """What it was measured on."""
    import torch

    from app.engine.device import choose_device

    chosen = choose_device(device)
    facts: dict[str, Any] = {
        "system": platform.system(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(chosen),
    }
    if chosen.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(chosen)
    return facts
