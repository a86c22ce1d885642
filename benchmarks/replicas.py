"""How often a question finds what its conversation computed before, on two replicas: routed to it, or to any.

Users with a picture each ask some questions, four at once; "random" is the less busy of two replicas that are drawn.
`reused` is the share of the follow-ups' prompt tokens that were not computed again, `same_replica` the share of
follow-ups that came to the replica of the question before; `ratio` is the reuse over that of random routing.
"""

from __future__ import annotations

import base64
import io
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import openai
from PIL import Image

from app.engine.device import choose_device
from app.errors import ModelError
from benchmarks.options import Cases, Options, median
from benchmarks.ports import free_port

REPEATS = 1
REPLICAS = 2
AT_ONCE = 4  # users
PATIENCE = 600  # seconds


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What the second question of a conversation, or a later one, came to."""

    same_replica: bool
    prompt_tokens: int
    cached_tokens: int
    ttft: float


def run(options: Options) -> Cases:
    """Both ways, each with replicas of its own."""
    users, turns = (2, 2) if options.small else (12 * options.repeats, 4)
    cases: Cases = {}
    for routing in ("conversation", "random"):
        with _replicas(options, routing) as url:
            cases[routing] = summary(measure(url, users, turns))
    cases["conversation"]["ratio"] = round(cases["conversation"]["reused"] / max(cases["random"]["reused"], 0.001), 3)
    return cases


def measure(url: str, users: int, turns: int) -> list[FollowUp]:
    """Ask the server at a URL, without /v1."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=PATIENCE)
    model = client.models.list().data[0].id
    talks = [Talk(user) for user in range(users)]
    shuffle = random.Random(0).sample
    told: list[FollowUp] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for turn in range(turns):
            # In another order each time, as people take their time: who asks at once again finds its replica just free.
            answers = list(pool.map(partial(_ask, client, model), shuffle(talks, users)))
            told += answers if turn else []
    return told


def summary(follow_ups: list[FollowUp]) -> dict[str, Any]:
    """The figures of all follow-ups."""
    prompt = sum(each.prompt_tokens for each in follow_ups)
    return {
        "follow_ups": len(follow_ups),
        "same_replica": round(statistics.mean(float(each.same_replica) for each in follow_ups), 3),
        "reused": round(sum(each.cached_tokens for each in follow_ups) / prompt, 3),
        "ttft_s": median([each.ttft for each in follow_ups]),
    }


@dataclass(slots=True)
class Talk:
    """One conversation, and the replica that answered last."""

    user: int
    messages: list[Any] = field(default_factory=list)
    replica: str = ""


def _ask(client: openai.OpenAI, model: str, talk: Talk) -> FollowUp:
    """The next question of a conversation."""
    number = len(talk.messages) // 2
    question = f"What else, {number}?" if number else [_picture(talk.user), {"type": "text", "text": "What is in it?"}]
    talk.messages.append({"role": "user", "content": question})
    started = time.monotonic()
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=talk.messages, max_tokens=16, temperature=0, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    text, ttft, usage = "", 0.0, None
    for event in raw.parse():
        if event.choices and event.choices[0].delta.content:
            ttft = ttft or time.monotonic() - started
            text += event.choices[0].delta.content
        usage = event.usage or usage
    assert usage is not None
    talk.messages.append({"role": "assistant", "content": text})
    before, talk.replica = talk.replica, raw.headers["x-replica"]
    return FollowUp(talk.replica == before, usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, ttft)


def _picture(user: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.effect_noise((448, 448), 20 + user).convert("RGB").save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


@contextmanager
def _replicas(options: Options, routing: str) -> Iterator[str]:
    """The URL of replicas that run."""
    port = free_port()
    command = [sys.executable, "-m", "app.replicas", "--model", str(options.folder), "--dtype", options.dtype,
               "--device", choose_device(options.device).type, "--replicas", str(REPLICAS), "--routing", routing,
               "--port", str(port)]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        environment = os.environ | {"RAY_TMPDIR": folder}
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1], env=environment, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url)
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    """Until all replicas answer.

    Raises:
        ModelError: they never will.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{url}/health", timeout=10) as answer:
                if f"{REPLICAS} of {REPLICAS}" in answer.read().decode():
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise ModelError("The replicas do not start.", "What came before is above.")
