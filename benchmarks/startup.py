"""Seconds from the command to its help, to a page that can be typed into, and to the first token of an answer.

`help`: against a Python that does nothing (`ratio`). `first_page`: until the server answers (`server_s`), how long
a cold browser then takes to show the message box (`page_s`), and what is transferred for the page (`bytes`); without
Playwright and a Chromium neither is measured, and `missing` says so. `first_token`: from the command, asked once the
server answers. The model is the embedded one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.browser import find_browser, open_first_page
from benchmarks.checkpoint import TOKENIZER
from benchmarks.options import Cases, Options, median
from benchmarks.ports import free_port
from benchmarks.timing import in_turn, ratio

REPEATS = 3
SCRIPT = Path(__file__).resolve().parents[1] / "web_demo_2.6.py"
PATIENCE = 120  # seconds for a server to come up or to answer
NO_BROWSER = "no Chromium was found, or no Playwright; name one with CHROMIUM"
QUESTION = ["Hello!", [], [], {"do_sample": False, "num_beams": 1, "max_new_tokens": 4}]


def run(options: Options) -> Cases:
    """One start of the server per repeat."""
    program = find_browser()
    starts = [_start(options, program) for _ in range(options.repeats)]
    page: dict[str, Any] = {"server_s": median([start["server"] for start in starts])}
    if program:
        page |= {"page_s": median([start["page"] for start in starts]), "bytes": starts[0]["bytes"]}
    else:
        page["missing"] = NO_BROWSER
    return {
        "help": measure_help(options.repeats),
        "first_page": page,
        "first_token": {"first_token_s": median([start["token"] for start in starts])},
    }


def measure_help(repeats: int) -> dict[str, float]:
    """`--help` and a Python that does nothing, in turn."""
    seconds = in_turn({"help": lambda: _run([str(SCRIPT), "--help"]), "python": lambda: _run(["-c", "pass"])}, repeats)
    return {
        "help_s": median(seconds["help"]),
        "python_s": median(seconds["python"]),
        "ratio": ratio(seconds["help"], seconds["python"]),
    }


def _run(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def _start(options: Options, program: str | None) -> dict[str, float]:
    """One start of the server, in seconds, and the bytes of its first page."""
    started = time.monotonic()
    with _server(options) as (url, process):
        wait_for(url, process)
        row = {"server": time.monotonic() - started}
        _first_token(url)
        row["token"] = time.monotonic() - started
        if program:
            first = open_first_page(url, program)
            row |= {"page": first.seconds, "bytes": first.bytes}
    return row


@contextmanager
def _server(options: Options) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The page's server as a user starts it."""
    port = str(free_port())
    model = ["--model", options.model or str(TOKENIZER), "--device", options.device, "--dtype", options.dtype]
    command = [sys.executable, str(SCRIPT), *model, "--host", "127.0.0.1", "--port", port]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Returns once the server answers.

    Raises:
        RuntimeError: it ended.
        TimeoutError: it does not in time.
    """
    until = time.monotonic() + PATIENCE
    while process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise TimeoutError(f"The server has not answered in {PATIENCE} s.") from None
            time.sleep(0.02)
    raise RuntimeError(f"The server ended with exit code {process.returncode}.")


def _first_token(url: str) -> None:
    """Ask by the page's endpoint for programs; returns with the answer's first text.

    Raises:
        RuntimeError: the answer failed.
    """
    body = json.dumps({"data": QUESTION}).encode()
    call = f"{url}gradio_api/call/chat"
    request = urllib.request.Request(call, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{call}/{event}", timeout=PATIENCE) as lines:
        for line in lines:
            if line.startswith(b"event: error"):
                raise RuntimeError("The server could not answer; see above.")
            if line.startswith((b"event: generating", b"event: complete")):
                return
    raise RuntimeError("The server ended its answer before it began.")
