"""64 streams at once through the endpoint and through the backend that a page asks another engine with.

The engine is the echo backend, which costs nothing: what is measured is our own work around an engine. `engine` asks
it directly, `endpoint` over HTTP with the official client (`--api`), `page` with the page's backend in front of that
endpoint (a page before an engine that is ours). Every answer must come whole, once, and to the one who asked: anything
else ends the benchmark. The `overhead` figures are the difference to `engine`, per answer and per token.

The processes share the machine with the clients, so that 64 clients' own work is part of the figures; `users1` is what
one user feels.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import openai

from app.backends.base import Backend
from app.backends.echo import EchoBackend
from app.backends.table import make_backend
from app.errors import GenerationError
from app.messages import Message
from app.sampling import SamplingParams
from app.settings import Settings
from benchmarks.options import Cases, Options

REPEATS = 2
ROOT = Path(__file__).resolve().parents[1]
CROWD = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer: seconds to its first text and to its end, and how many pieces came."""

    first: float
    last: float
    pieces: int


Way = Callable[[int], list[Asked]]


def run(options: Options) -> Cases:
    """All ways in turn, alone and in a crowd."""
    crowd = 4 if options.small else CROWD
    cases: Cases = {}
    with _endpoint() as url, _page_backend(url) as page:
        ways: dict[str, Way] = {
            "engine": lambda users: _threads(EchoBackend(), users),
            "endpoint": lambda users: _clients(url, users),
            "page": lambda users: _threads(page, users),
        }
        for way in ways.values():
            way(2)  # a warm-up
        for users in (1, crowd):
            runs: dict[str, list[Asked]] = {name: [] for name in ways}
            for _ in range(options.repeats * (1 if users > 1 else 5)):
                for name, way in ways.items():
                    runs[name] += way(users)
            base = _figures(runs["engine"])
            for name, asked in runs.items():
                figures = _figures(asked)
                more = {} if name == "engine" else {
                    "ttft_overhead_ms": round(figures["ttft_p50_ms"] - base["ttft_p50_ms"], 2),
                    "token_overhead_ms": round(figures["token_p50_ms"] - base["token_p50_ms"], 3),
                }  # fmt: skip
                cases[f"{name}_users{users}"] = figures | more
    return cases


def _question(number: int) -> str:
    """No two alike, and the same number of pieces."""
    return f"question {number:03} of a crowd, to be repeated word by word, none lost, none mixed and none doubled"


def _check(text: str, number: int) -> None:
    expected = f'Message 1: text "{_question(number)}". Options: '
    if not text.startswith(expected) or text.count("Message") != 1:
        raise GenerationError(f"Answer {number} of the crowd is lost, mixed or doubled: {text[:80]!r}.")


def _threads(backend: Backend, users: int) -> list[Asked]:
    """Ask a backend as the page does, a thread for each user."""

    def ask(number: int) -> Asked:
        params = SamplingParams.of({}, backend.capabilities.defaults)
        stream = backend.stream([Message.of("user", _question(number))], params, f"user {number}")
        return _timed((chunk.text for chunk in stream), number)

    with ThreadPoolExecutor(users) as pool:
        return list(pool.map(ask, range(users)))


def _timed(texts: Iterator[str], number: int) -> Asked:
    started, first, pieces, text = time.monotonic(), 0.0, 0, ""
    for piece in texts:
        if piece:
            first = first or time.monotonic() - started
            text, pieces = text + piece, pieces + 1
    _check(text, number)
    return Asked(first, time.monotonic() - started, pieces)


def _clients(url: str, users: int) -> list[Asked]:
    """Ask the endpoint with the official client."""

    async def ask(client: openai.AsyncOpenAI, number: int) -> Asked:
        started, first, pieces, text = time.monotonic(), 0.0, 0, ""
        question = [{"role": "user", "content": _question(number)}]
        events = await client.chat.completions.create(
            model="Echo", messages=question, stream=True, user=f"user {number}"
        )
        async for event in events:
            piece = event.choices[0].delta.content if event.choices else ""
            if piece:
                first = first or time.monotonic() - started
                text, pieces = text + piece, pieces + 1
        _check(text, number)
        return Asked(first, time.monotonic() - started, pieces)

    async def all_of_them() -> list[Asked]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            return list(await asyncio.gather(*(ask(client, number) for number in range(users))))

    return asyncio.run(all_of_them())


def _figures(asked: Sequence[Asked]) -> dict[str, float]:
    """Milliseconds to the first text, and between pieces."""
    first = sorted(1000 * each.first for each in asked)
    between = sorted(1000 * (each.last - each.first) / max(each.pieces - 1, 1) for each in asked)
    return {
        "answers": len(asked),
        "ttft_p50_ms": round(_quantile(first, 0.5), 2),
        "ttft_p95_ms": round(_quantile(first, 0.95), 2),
        "token_p50_ms": round(_quantile(between, 0.5), 3),
        "token_p95_ms": round(_quantile(between, 0.95), 3),
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@contextmanager
def _endpoint() -> Iterator[str]:
    """The echo backend behind the protocol, in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "web_demo_2.6.py", "--backend", "echo", "--api-only", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(url):
            if process.poll() is not None:
                raise GenerationError("The endpoint did not start.")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        urlopen(f"{url}/health", timeout=5).close()
    except (URLError, ConnectionError, TimeoutError):
        return False
    return True


@contextmanager
def _page_backend(url: str) -> Iterator[Backend]:
    backend = make_backend(Settings(model="m", backend="openai", base_urls=[url]))
    backend.start()
    try:
        while backend.status().state != "ready":
            time.sleep(0.01)
        yield backend
    finally:
        backend.close()
