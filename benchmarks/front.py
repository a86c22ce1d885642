"""Seconds from the command until a page in front of another engine answers, and the memory it then takes.

The engine is not there, as after a start of both at once: the page says so and waits. No model and no PyTorch is loaded
(`app.backends.openai`); the aim is 3 seconds and 300 MB. `cpu_s` is what it has computed until then, which tells more
than `server_s` on a busy machine; `ratio` is against a Python that does nothing.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from benchmarks.options import Cases, Options, median
from benchmarks.ports import free_port
from benchmarks.startup import PATIENCE, SCRIPT, wait_for
from benchmarks.timing import ratio

REPEATS = 5


def run(options: Options) -> Cases:
    """One start of the page, and one of Python, per repeat."""
    seconds, computed, bare, memory = [], [], [], []
    for _ in range(options.repeats):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare.append(time.monotonic() - started)
        started = time.monotonic()
        with _page() as (url, process):
            wait_for(url, process)
            seconds.append(time.monotonic() - started)
            page = psutil.Process(process.pid)
            computed.append(sum(page.cpu_times()[:2]))
            memory.append(page.memory_info().rss / 1e6)
    return {
        "page": {
            "server_s": median(seconds),
            "cpu_s": median(computed),
            "rss_mb": median(memory, 1),
            "ratio": ratio(seconds, bare),
        }
    }


@contextmanager
def _page() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The page as a user starts it, in front of a port where nothing listens."""
    port, nobody = free_port(), free_port()
    command = [sys.executable, str(SCRIPT), "--backend", "openai", "--base-url", f"http://127.0.0.1:{nobody}"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.terminate()
        process.wait(PATIENCE)
