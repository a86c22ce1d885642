"""Time to the first token of a second question about a picture, against the same question with nothing kept.

    python -m benchmarks.reuse --model assets/tiny-minicpm-v --device cpu --dtype fp32

Both are asked in turn, `--runs` times, so that noise meets both alike. Medians are printed as one JSON object, with
how many times faster a follow-up, a regenerated answer and an edited question begin.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from app.engine.loader import load_model
from app.engine.plain import PlainEngine
from app.messages import Image, Message, Usage
from app.sampling import SamplingParams
from app.settings import DTYPES, Settings
from benchmarks.asking import usage_of


def main() -> None:
    """Parse the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="assets/tiny-minicpm-v")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=DTYPES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--side", type=int, default=1344, help="of the picture, in pixels")
    flags = parser.parse_args()
    settings = Settings(model=flags.model, device=flags.device, dtype=flags.dtype)
    print(json.dumps(measure(settings, flags.runs, flags.side), indent=2))


def measure(settings: Settings, runs: int, side: int) -> dict[str, Any]:
    """Load the model and ask with and without what was kept; times in seconds."""
    loaded = load_model(settings, lambda fraction, detail: None)
    kept = PlainEngine(loaded)
    forgetful = PlainEngine(replace(loaded), cache_bytes=0)
    found: dict[str, dict[str, list[Usage]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs + 1):  # the first is a warm-up
            picture = Path(folder) / f"{number}.png"
            PILImage.effect_noise((side, side), 40 + number).convert("RGB").save(picture)
            for name, messages in conversation(Image(picture)).items():
                pair = found.setdefault(name, {"kept": [], "forgotten": []})
                pair["forgotten"].append(ask(forgetful, messages))
                pair["kept"].append(ask(kept, messages))
    for engine in (kept, forgetful):
        engine.close()
    return {name: summary(pair) for name, pair in found.items()}


def conversation(picture: Image) -> dict[str, list[Message]]:
    """What is asked, in this order: each finds kept what the one before it left."""
    asked, said = Message.of("user", picture, "What is in the picture?"), Message.of("assistant", "A grey noise.")
    return {
        "first": [asked],
        "follow_up": [asked, said, Message.of("user", "And what colour is it?")],
        "regenerate": [asked, said, Message.of("user", "And what colour is it?")],
        "edit": [asked, said, Message.of("user", "Is there a red circle?")],
    }


def ask(engine: PlainEngine, messages: Sequence[Message]) -> Usage:
    """One answer's usage."""
    params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=4, min_new_tokens=4)
    return usage_of(engine.submit(messages, params))


def summary(pair: dict[str, list[Usage]]) -> dict[str, Any]:
    """Medians of the runs after the warm-up."""
    times = {name: statistics.median(usage.ttft or 0.0 for usage in usages[1:]) for name, usages in pair.items()}
    last = pair["kept"][-1]
    return {
        "prompt_tokens": last.prompt_tokens,
        "cached_tokens": last.cached_tokens,
        "cached_slices": last.cached_slices,
        "ttft_s": round(times["kept"], 4),
        "ttft_without_s": round(times["forgotten"], 4),
        "times_faster": round(times["forgotten"] / times["kept"], 2),
    }


if __name__ == "__main__":
    main()
