"""Peak memory of loading and answering against what the application expects a model to need.

Every case has a process of its own; what its libraries hold before the model is loaded does not count. With a GPU, its
memory is counted. `load`: the weights; `image10`: a picture of 1344 x 1344 pixels; `video64`: 64 frames of a clip.
`ratio` is the peak over the expectation: above 1 it promises too much.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.fresh import held_bytes, in_fresh_process, peak_bytes
from benchmarks.options import Cases, Options, median

REPEATS = 1
CASES = ("load", "image10", "video64")
MB = 1e6


def run(options: Options) -> Cases:
    """Each case in a fresh process."""
    options = replace(options, model=str(options.folder))  # made here, so that making it does not count
    cases: Cases = {}
    for name in CASES:
        rows = [in_fresh_process(measure, options, name) for _ in range(options.repeats)]
        peak, estimate = (median([row[key] for row in rows]) for key in ("peak", "estimate"))
        cases[name] = {
            "peak_mb": round(peak / MB, 1),
            "estimate_mb": round(estimate / MB, 1),
            "ratio": round(peak / estimate, 3),
            "weights_mb": round(rows[0]["weights"] / MB, 1),
            "tokens": int(rows[0]["tokens"]),
        }
    return cases


def measure(options: Options, name: str) -> dict[str, float]:
    """Load, answer where the case asks, and compare; sizes in bytes."""
    import torch

    from app.engine.loader import load_model
    from app.engine.plain import PlainEngine
    from benchmarks.asking import ask, greedy

    before, tokens = held_bytes(), 0
    loaded = load_model(options.settings(), lambda fraction, detail: None)
    loading = 0 if loaded.device.type == "cuda" else peak_bytes()  # each answer counts its own peak anew
    if name != "load":
        engine = PlainEngine(loaded)
        with tempfile.TemporaryDirectory() as folder:
            usage = ask(engine, [_question(name, Path(folder), options.small)], greedy(4 if options.small else 32))
        engine.close()
        tokens = usage.prompt_tokens + usage.new_tokens
    gpu = loaded.device.type == "cuda"
    peak = torch.cuda.max_memory_reserved(loaded.device) if gpu else max(loading, peak_bytes()) - before
    return {"peak": peak, "tokens": tokens, **_expected(options, loaded, name, tokens)}


def _question(name: str, folder: Path, small: bool) -> Any:
    from PIL import Image as PILImage

    from app.messages import Image, Message, Video
    from benchmarks.clips import clip

    if name == "image10":
        medium: Any = Image(PILImage.effect_noise((1344, 1344), 40).convert("RGB"))
    else:
        medium = Video(clip(folder / "clip.mp4", 4 if small else 64))
    return Message.of("user", medium, "What is in it?")


def _expected(options: Options, loaded: Any, name: str, tokens: int) -> dict[str, float]:
    """What the application's estimate says of this case."""
    from app.engine.device import TORCH_DTYPES
    from app.engine.download import resolve_config
    from app.engine.loader import place
    from app.engine.memory import empty_model, estimate

    config = resolve_config(options.settings().model, options.settings().source)
    _, choice = place(options.settings(), config)
    plain = type(loaded.model.config)(**{key: value for key, value in config.items() if key != "quantization_config"})
    names = {dtype: name for name, dtype in TORCH_DTYPES.items()}
    needs = estimate(
        empty_model(plain, loaded.family.model_class), plain, choice.quantization or names[choice.torch_dtype]
    )
    vision = {"load": 0, "image10": needs.image, "video64": needs.frames}[name]
    return {"weights": needs.weights, "estimate": needs.weights + needs.kv_per_1000 * tokens // 1000 + vision}
