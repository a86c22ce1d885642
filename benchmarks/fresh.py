"""Work in a process of its own, whose memory nothing else has touched."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import psutil

Result = TypeVar("Result")


def in_fresh_process(work: Callable[..., Result], *arguments: Any) -> Result:
    """What a module's function returns there; what it raises is raised here."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def held_bytes() -> int:
    """Main memory of this process now."""
    return int(psutil.Process().memory_info().rss)


def peak_bytes() -> int:
    """The most main memory this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # the system's own count goes on from the process that started this one
        line = next(line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
