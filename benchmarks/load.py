"""64 streams at once through the endpoint and through the backend that a page asks another engine with.

`users64` begin in the same instant, the worst there is; `spread64` begin one after another, as users do, so fast that
all of them stream at the end. Twice: with the embedded model on the CPU, and with the echo backend, which costs
nothing, so that what is measured is our own work around an engine. `engine` asks it directly in this process; `wire`
over HTTP (`--api`) with hardly more than a socket, so that the work is the endpoint's; `endpoint` the same with the
official client; `page` with the page's backend in front of that endpoint (a page before an engine that is ours). Every
answer must come whole, once, and to the one who asked, letter by letter as it was when it was asked alone: anything
else ends the benchmark. The `overhead` figures are the difference to `engine`, per answer and per token.

The processes share the machine with the clients, so that 64 clients' own work is part of the figures; `users1` is what
one user feels.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import openai

from app.backends.base import Backend
from app.backends.table import make_backend
from app.errors import GenerationError
from app.messages import Message
from app.sampling import SamplingParams
from app.settings import Settings
from app.spaces import EMBEDDED
from benchmarks.options import Cases, Options
from benchmarks.ports import free_port

REPEATS = 2
ROOT = Path(__file__).resolve().parents[1]
CROWD = 64
# Seconds between the beginnings of two users that do not begin together: the last of 64 asks after 1.9 s.
GAP = 0.03


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer: seconds to its first text and to its end, how many pieces came, and what they say together."""

    first: float
    last: float
    pieces: int
    text: str


Way = Callable[[int, float], list[Asked]]


@dataclass(frozen=True, slots=True)
class Subject:
    """An engine to be asked.

    Attributes:
        flags, settings: of the application, as its command line has them and as a program does.
        body, options: how it is asked, in the words of the protocol and in those of a backend.
        repeats: how often one user asks for every crowd.
    """

    flags: Sequence[str]
    settings: Mapping[str, Any]
    body: Mapping[str, Any]
    options: Mapping[str, Any]
    repeats: int


TOKENS = 24  # of each answer: random questions end early or late, and figures per token want the same
SUBJECTS: Mapping[str, Subject] = {
    "tiny": Subject(
        ("--model", str(EMBEDDED), "--device", "cpu", "--dtype", "fp32"),
        {"model": str(EMBEDDED), "device": "cpu", "dtype": "fp32"},
        {"temperature": 0, "max_tokens": TOKENS, "min_tokens": TOKENS, "repetition_penalty": 1.0},
        {"do_sample": False, "num_beams": 1, "max_new_tokens": TOKENS, "min_new_tokens": TOKENS,
         "repetition_penalty": 1.0},
        3,
    ),
    "echo": Subject(("--backend", "echo"), {"model": "m", "backend": "echo"}, {}, {}, 5),
}  # fmt: skip


def run(options: Options) -> Cases:
    """All ways in turn, alone and in a crowd."""
    cases: Cases = {}
    for name, subject in SUBJECTS.items():
        cases |= {f"{name}_{case}": figures for case, figures in _measured(subject, options).items()}
    return cases


def _measured(subject: Subject, options: Options) -> Cases:
    crowd = 4 if options.small else CROWD
    cases: Cases = {}
    with ExitStack() as stack:
        url = stack.enter_context(_endpoint(subject))
        engine = stack.enter_context(_ready(Settings(**subject.settings)))
        page = stack.enter_context(_ready(Settings(model="m", backend="openai", base_urls=[url])))
        expected = [_alone(engine, subject, number) for number in range(crowd)]
        ways: dict[str, Way] = {
            "engine": lambda users, gap: _threads(engine, subject, users, gap),
            "wire": lambda users, gap: _wires(url, subject, users, gap),
            "endpoint": lambda users, gap: _clients(url, subject, users, gap),
            "page": lambda users, gap: _threads(page, subject, users, gap),
        }
        for way in ways.values():
            way(2, 0.0)  # a warm-up
        for kind, users, gap in (("users", 1, 0.0), ("users", crowd, 0.0), ("spread", crowd, GAP)):
            runs: dict[str, list[Asked]] = {name: [] for name in ways}
            for _ in range(options.repeats * (1 if users > 1 else subject.repeats)):
                for name, way in ways.items():
                    asked = way(users, gap)
                    check(asked, expected, name)
                    runs[name] += asked
            base = _figures(runs["engine"])
            for name, asked in runs.items():
                figures = _figures(asked)
                more = {} if name == "engine" else {
                    f"{what}_overhead_ms": round(figures[f"{what}_ms"] - base[f"{what}_ms"], 2)
                    for what in ("ttft_p50", "ttft_p95", "token_p50", "token_p95")
                }  # fmt: skip
                cases[f"{name}_{kind}{users}"] = figures | more
    return cases


def question(number: int) -> str:
    """No two alike."""
    return f"question {number:03} of a crowd, to be repeated word by word, none lost, none mixed and none doubled"


def check(asked: Sequence[Asked], expected: Sequence[str], way: str) -> None:
    """Compare answers with those asked alone.

    Raises:
        GenerationError: one is another's, a part, or more.
    """
    for number, (each, text) in enumerate(zip(asked, expected, strict=False)):
        if each.text != text:
            raise GenerationError(
                f"{way}: answer {number} of the crowd is lost, mixed or doubled: {each.text!r}, not {text!r}."
            )


def _alone(backend: Backend, subject: Subject, number: int) -> str:
    return _timed(_texts(backend, subject, number)).text


def _texts(backend: Backend, subject: Subject, number: int) -> Iterator[str]:
    params = replace(SamplingParams.of({}, backend.capabilities.defaults), **subject.options)
    # Users behind one address, as the endpoint sees all of these clients: they share its places in the engine.
    stream = backend.stream([Message.of("user", question(number))], params, f"crowd/{number}")
    return (chunk.text for chunk in stream)


def _threads(backend: Backend, subject: Subject, users: int, gap: float) -> list[Asked]:
    """Ask a backend as the page does, a thread for each user."""

    def ask(number: int) -> Asked:
        time.sleep(gap * number)
        return _timed(_texts(backend, subject, number))

    with ThreadPoolExecutor(users) as pool:
        return list(pool.map(ask, range(users)))


def _timed(texts: Iterator[str]) -> Asked:
    started, first, pieces, text = time.monotonic(), 0.0, 0, ""
    for piece in texts:
        if piece:
            first = first or time.monotonic() - started
            text, pieces = text + piece, pieces + 1
    return Asked(first, time.monotonic() - started, pieces, text)


def _wires(url: str, subject: Subject, users: int, gap: float) -> list[Asked]:
    """Ask the endpoint with as little work as can be: what comes is read once all of it is there."""
    with urlopen(f"{url}/v1/models") as response:
        model = json.load(response)["data"][0]["id"]

    def ask(number: int) -> Asked:
        messages = [{"role": "user", "content": question(number)}]
        body = {"model": model, "messages": messages, "stream": True, "user": f"user {number}", **subject.body}
        request, came = json.dumps(body), []
        connection = HTTPConnection(urlsplit(url).netloc)
        time.sleep(gap * number)
        started = time.monotonic()
        connection.request("POST", "/v1/chat/completions", request, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            while line := response.readline():
                came.append((time.monotonic() - started, line))
        connection.close()
        events = [(at, json.loads(line[6:])) for at, line in came if line.startswith(b"data: {")]
        pieces = [(at, event["choices"][0]["delta"].get("content")) for at, event in events if event["choices"]]
        said = [(at, piece) for at, piece in pieces if piece]
        return Asked(said[0][0], came[-1][0], len(said), "".join(piece for _, piece in said))

    with ThreadPoolExecutor(users) as pool:
        return list(pool.map(ask, range(users)))


def _clients(url: str, subject: Subject, users: int, gap: float) -> list[Asked]:
    """Ask the endpoint with the official client."""

    async def ask(client: openai.AsyncOpenAI, model: str, number: int) -> Asked:
        await asyncio.sleep(gap * number)
        started, first, pieces, text = time.monotonic(), 0.0, 0, ""
        asked: Any = [{"role": "user", "content": question(number)}]
        events = await client.chat.completions.create(
            model=model, messages=asked, stream=True, user=f"user {number}", extra_body=dict(subject.body)
        )
        async for event in events:
            piece = event.choices[0].delta.content if event.choices else ""
            if piece:
                first = first or time.monotonic() - started
                text, pieces = text + piece, pieces + 1
        return Asked(first, time.monotonic() - started, pieces, text)

    async def all_of_them() -> list[Asked]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            model = (await client.models.list()).data[0].id
            return list(await asyncio.gather(*(ask(client, model, number) for number in range(users))))

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
def _endpoint(subject: Subject) -> Iterator[str]:
    """The engine behind the protocol, in a process of its own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "web_demo_2.6.py", *subject.flags, "--api-only", "--port", str(port)]
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
def _ready(settings: Settings) -> Iterator[Backend]:
    backend = make_backend(settings)
    backend.start()
    try:
        while backend.status().state != "ready":
            if backend.status().state == "failed":
                raise GenerationError(backend.status().detail)
            time.sleep(0.01)
        yield backend
    finally:
        backend.close()
