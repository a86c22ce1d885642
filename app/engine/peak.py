"""How much memory a piece of work takes at its peak, beyond what was held before."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import psutil
import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class Peak:
    """Counts from when it is made. On a CPU only where the system tells (Linux), and all that the process does counts.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: int | None = None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
        elif device.type == "cpu":
            _give_back()
            try:
                _CLEAR.write_text(_RESET_PEAK)
                self._before = int(psutil.Process().memory_info().rss)
            except OSError:
                self._before = None

    def bytes(self) -> int | None:
        """The peak since; None where it cannot be told."""
        if self._before is None:
            return None
        if self._device.type == "cuda":
            return max(0, int(torch.cuda.max_memory_allocated(self._device)) - self._before)
        lines = _STATUS.read_text("utf-8").splitlines()
        found = next((line for line in lines if line.startswith("VmHWM")), None)
        return None if found is None else max(0, 1024 * int(found.split()[1]) - self._before)


def _give_back() -> None:
    """Have the C library return what it keeps of freed memory; else an answer's peak would hide in it."""
    with suppress(OSError, AttributeError):  # another system, or another C library
        ctypes.CDLL(None).malloc_trim(0)
