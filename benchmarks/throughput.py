"""Tokens per second of several users at once: the batched engine against one answer after another.

    python -m benchmarks.throughput --model assets/tiny-minicpm-v --device cpu --dtype fp32 --users 1 2 4 8

Every user asks about a picture of their own. The two engines are asked in turn, `--runs` times, so that noise meets
both alike. Medians are printed as one JSON object: tokens/s over all users, and seconds to each user's first token.
"""

from __future__ import annotations

import argparse
import json
import statistics
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
from app.sampling import SamplingParams
from app.settings import DTYPES, Settings
from benchmarks.asking import usage_of

ENGINES = {"batched": BatchedEngine, "plain": PlainEngine}


def main() -> None:
    """Parse the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="assets/tiny-minicpm-v")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=DTYPES)
    parser.add_argument("--users", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--side", type=int, default=448, help="of each picture, in pixels")
    parser.add_argument("--runs", type=int, default=3)
    flags = parser.parse_args()
    settings = Settings(model=flags.model, device=flags.device, dtype=flags.dtype)
    print(json.dumps(measure(settings, flags.users, flags.runs, flags.new_tokens, flags.side), indent=2))


def measure(settings: Settings, users: Sequence[int], runs: int, new_tokens: int, side: int) -> dict[str, Any]:
    """Both engines with each number of users."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in users:
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in ENGINES}
            for run in range(runs + 1):  # the first is a warm-up
                messages = [question(Path(folder) / f"{run}_{user}.png", side, run, user) for user in range(count)]
                for name in ENGINES:
                    found[name].append(crowd(settings, name, messages, new_tokens))
            rates, firsts = (
                {name: statistics.median(pair[at] for pair in pairs[1:]) for name, pairs in found.items()}
                for at in (0, 1)
            )
            result[f"{count} users"] = {
                **{f"{name}_tokens_per_s": round(rate, 1) for name, rate in rates.items()},
                **{f"{name}_ttft_s": round(first, 4) for name, first in firsts.items()},
                "times_faster": round(rates["batched"] / rates["plain"], 2),
            }
    return result


def question(path: Path, side: int, run: int, user: int) -> Message:
    """A user's question about a picture that nobody else has."""
    PILImage.effect_noise((side, side), 20 + 7 * run + user).convert("RGB").save(path)
    return Message.of("user", Image(path), "What is in the picture?")


def crowd(settings: Settings, engine: str, messages: Sequence[Message], new_tokens: int) -> tuple[float, float]:
    """Ask all at once; tokens per second in all, and the median time to a first token."""
    served: Any = ENGINES[engine](load_model(settings, lambda fraction, detail: None), cache_bytes=256 * 1024**2)
    params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=new_tokens, min_new_tokens=new_tokens)
    try:
        started = time.monotonic()
        tickets = [served.submit([message], params) for message in messages]
        usages = [usage_of(ticket) for ticket in tickets]
        seconds = time.monotonic() - started
    finally:
        served.close()
    return sum(usage.new_tokens for usage in usages) / seconds, statistics.median(usage.ttft or 0 for usage in usages)


if __name__ == "__main__":
    main()
