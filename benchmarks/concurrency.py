"""Tokens per second of several users at once against the same answers one after another, on the same model.

Half of the users of `users1` to `users8` ask about a picture of their own, 448 x 448; those of `users8_text` about
none. `ratio` is tokens/s together over tokens/s one after another; `worst_gap_s` the longest pause in any answer.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from app.engine.batched import BatchedEngine
from app.engine.loader import load_model
from app.engine.plain import PlainEngine
from app.messages import Image, Message
from benchmarks.asking import greedy, usage_of
from benchmarks.options import Cases, Options, median

REPEATS = 2
CASES = {"users1": 1, "users2": 2, "users4": 4, "users8": 8, "users8_text": 8}


def run(options: Options) -> Cases:
    """Every number of users, together and one after another in turn."""
    cases: Cases = {}
    new_tokens = 4 if options.small else 128
    engines = [
        kind(load_model(options.settings(), lambda fraction, detail: None), cache_bytes=512 * 1024**2)
        for kind in (BatchedEngine, PlainEngine)
    ]
    with tempfile.TemporaryDirectory() as folder:
        for engine in engines:  # a warm-up
            _crowd(engine, _questions(Path(folder), "warm", 2, True), 8)
        for name, users in CASES.items():
            runs = []
            for repeat in range(options.repeats):
                asked = _questions(Path(folder), f"{name}-{repeat}", users, name != "users8_text")
                together = _crowd(engines[0], asked, new_tokens)
                alone = [_crowd(engines[1], [one], new_tokens) for one in asked]
                runs.append((together, sum(one["seconds"] for one in alone), max(one["gap"] for one in alone)))
            total = users * new_tokens
            rates = median([total / together["seconds"] for together, _, _ in runs], 1)
            alone_rates = median([total / seconds for _, seconds, _ in runs], 1)
            cases[name] = {
                "tokens_per_s": rates,
                "one_after_another_tokens_per_s": alone_rates,
                "ratio": median([seconds / together["seconds"] for together, seconds, _ in runs], 3),
                "ttft_s": median([together["ttft"] for together, _, _ in runs]),
                "worst_gap_s": median([together["gap"] for together, _, _ in runs]),
                "alone_worst_gap_s": median([gap for _, _, gap in runs]),
            }
    for engine in engines:
        engine.close()
    return cases


def _questions(folder: Path, name: str, users: int, pictures: bool) -> list[Message]:
    """Different ones, so that nothing is found again."""
    asked = []
    for user in range(users):
        text = f"{name} {user}: what can you tell about this?"
        if pictures and user % 2 == 0:
            path = folder / f"{name}-{user}.png"
            PILImage.effect_noise((448, 448), 20 + 5 * user).convert("RGB").save(path)
            asked.append(Message.of("user", Image(path), text))
        else:
            asked.append(Message.of("user", text))
    return asked


def _crowd(engine: Any, asked: Sequence[Message], new_tokens: int) -> dict[str, float]:
    """Ask all at once; seconds until the last has its answer, the median TTFT and the longest pause."""
    params = greedy(new_tokens)
    started = time.monotonic()
    tickets = [engine.submit([message], params, f"user {user}") for user, message in enumerate(asked)]
    usages = [usage_of(ticket) for ticket in tickets]
    seconds = time.monotonic() - started
    assert all(usage.new_tokens == new_tokens for usage in usages)
    return {
        "seconds": seconds,
        "ttft": median([usage.ttft or 0.0 for usage in usages]),
        "gap": max(usage.longest_gap or 0.0 for usage in usages),
    }
