"""Time to the first token and tokens per second of a model, by what is asked.

    python -m benchmarks.answers --model assets/tiny-minicpm-v --device cpu --dtype fp32

Each question is asked `--runs` times after one warm-up; medians are printed as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.messages import Image, Message, Usage, Video
from app.sampling import SamplingParams
from app.settings import DTYPES, Settings


def main() -> None:
    """Parse the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="assets/tiny-minicpm-v")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=DTYPES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--new-tokens", type=int, default=64)
    flags = parser.parse_args()
    # Every question is a first one: nothing is kept between them (`benchmarks.reuse` measures what that gains).
    settings = Settings(model=flags.model, port=1, device=flags.device, dtype=flags.dtype, cache_size=0)
    print(json.dumps(measure(settings, flags.runs, flags.new_tokens), indent=2))


def measure(settings: Settings, runs: int, new_tokens: int) -> dict[str, Any]:
    """Load the model and ask every question; times in seconds."""
    from app.backends.local import LocalBackend

    started = time.monotonic()
    backend = LocalBackend.from_settings(settings)
    backend.start()
    while backend.status().state == "loading":
        time.sleep(0.01)
    result: dict[str, Any] = {"model": backend.capabilities.model, "load_s": round(time.monotonic() - started, 3)}
    # The end token is put off, so that all answers are equally long.
    params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=new_tokens, min_new_tokens=new_tokens)
    with tempfile.TemporaryDirectory() as folder:
        for name, message in questions(Path(folder)):
            usages = [ask(backend, message, params) for _ in range(runs + 1)][1:]
            result[name] = summary(usages)
    backend.close()
    return result


def ask(backend: Any, message: Message, params: SamplingParams) -> Usage:
    """One answer's usage."""
    *_, last = backend.stream([message], params)
    assert last.usage is not None
    return last.usage


def summary(usages: list[Usage]) -> dict[str, Any]:
    """Medians over the runs."""

    def median(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return round(statistics.median(known), 4) if known else None

    return {
        "prompt_tokens": usages[0].prompt_tokens,
        "vision_tokens": usages[0].vision_tokens,
        "new_tokens": usages[0].new_tokens,
        "ttft_s": median([usage.ttft for usage in usages]),
        "tokens_per_s": median([usage.tokens_per_second for usage in usages]),
    }


def questions(folder: Path) -> Iterator[tuple[str, Message]]:
    """Text alone, a small and a large picture, and a clip of 16 seconds."""
    from PIL import Image as PILImage

    gradient = PILImage.linear_gradient("L").convert("RGB")
    yield "text", Message.of("user", "Write a short story about a cat and a mountain.")
    yield "image_448x448", Message.of("user", Image(gradient.resize((448, 448))), "What is in the image?")
    yield "image_1344x1344", Message.of("user", Image(gradient.resize((1344, 1344))), "What is in the image?")
    yield "video_16_frames", Message.of("user", Video(clip(folder / "clip.mp4", 16)), "What happens?")


def clip(path: Path, seconds: int) -> Path:
    """A clip that grows brighter, 448 x 448, eight frames a second."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 448
        stream.pix_fmt = "yuv420p"
        for index in range(8 * seconds):
            shade = np.full((448, 448, 3), 255 * index // (8 * seconds), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
