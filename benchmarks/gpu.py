"""The engine at full size on a GPU: MiniCPM-V 2.6 (8.1 B) with random weights, made on the device; in a few minutes.

In bf16 and in int4, as it is and with --compile: tokens/s of 1, 8 and 32 users with text, seconds to the first token of
a 1344 x 1344 picture and of 64 frames in the first and in the second turn, and the peak of the device's memory over
what is foretold (`ratio`; above 1 it promises too much). `start_s` is the engine's start, the recordings of --compile
in it; `limit_tokens_per_s` what the memory allows one user. --dtype chooses one precision; --small is for any device.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image as PILImage
from torch import nn
from transformers import AutoTokenizer

from app.engine.choose import make_engine
from app.engine.compiling import undo
from app.engine.device import TORCH_DTYPES, choose_device
from app.engine.failures import free_device
from app.engine.loader import LoadedModel
from app.engine.memory import empty_model, estimate
from app.errors import DeviceError
from app.families.minicpm_v_2_6 import FAMILY
from app.messages import Image, Message, Usage, Video
from app.modeling.image_processing import MiniCPMVImageProcessor
from app.modeling.processing import MiniCPMVProcessor
from app.sampling import SamplingParams
from benchmarks.asking import ask, usage_of
from benchmarks.checkpoint import TOKENIZER, config_of
from benchmarks.clips import clip
from benchmarks.decode import read_rate, weights_of_a_token
from benchmarks.options import Cases, Options, median

REPEATS = 3
USERS = (1, 8, 32)
CACHE = 8 * 1024**3
GB = 1e9


def run(options: Options) -> Cases:
    """Every precision, without and with --compile.

    Raises:
        DeviceError: there is no CUDA device, and sizes that mean nothing were not asked for.
    """
    device = choose_device(options.device)
    if device.type != "cuda" and not options.small:
        raise DeviceError(
            f"The benchmark gpu needs a CUDA device; chosen is {device}.",
            "Run it on a machine with a GPU and a CUDA build of PyTorch, or with --small to see that it runs.",
        )
    cases: Cases = {}
    for dtype in ("bf16", "int4") if options.dtype == "auto" else (options.dtype,):
        started = time.monotonic()
        loaded = make_model(device, dtype, small=options.small)
        made_s = round(time.monotonic() - started, 1)
        for compiled in (False, True):
            name = f"{dtype}.compile" if compiled else dtype
            cases[name] = {"made_s": made_s, **measure(options, loaded, dtype, compiled=compiled)}
        del loaded
        free_device()
    return cases


def make_model(device: torch.device, dtype: str, *, small: bool) -> LoadedModel:
    """The model with random weights, ready to answer."""
    # A multiple of 32, as int4 wants them on a CPU.
    data = config_of(0.1) | {"intermediate_size": 256} if small else dict(FAMILY.published)
    config: Any = FAMILY.config_class(**data)
    with torch.device(device):
        model = FAMILY.model_class._from_config(config, dtype=TORCH_DTYPES.get(dtype, torch.bfloat16)).eval()
        if dtype == "int4":
            for layer in model.get_decoder().layers:
                _quantise(layer)
    processor = MiniCPMVProcessor(
        MiniCPMVImageProcessor(use_image_id=True), AutoTokenizer.from_pretrained(TOKENIZER), config.layout
    )
    return LoadedModel(model, processor, FAMILY, device, (), config.max_position_embeddings)


def _quantise(module: nn.Module) -> None:
    """Linear layers to int4 in their places, as `--dtype int4` has them."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    for name, child in module.named_children():
        if not isinstance(child, nn.Linear):
            _quantise(child)
            continue
        weight, bias = child.weight.detach(), child.bias
        small = Linear4bit(
            child.in_features, child.out_features, bias is not None, weight.dtype, True, "nf4", device="meta"
        )
        small.weight = Params4bit(weight.cpu(), requires_grad=False, quant_type="nf4", compress_statistics=True)
        small.bias = bias
        setattr(module, name, small.to(weight.device))


def measure(options: Options, loaded: LoadedModel, dtype: str, *, compiled: bool) -> dict[str, Any]:
    """All figures of one engine."""
    cuda = loaded.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(loaded.device)
    cache = 2**24 if options.small else CACHE
    started = time.monotonic()
    engine = make_engine(loaded, options.settings_of("random", cache_size=cache, compile=compiled))
    figures: dict[str, Any] = {"start_s": round(time.monotonic() - started, 2)}
    try:
        new_tokens = 4 if options.small else 128
        _crowd(engine, 2, 4)  # a warm-up
        for users in USERS[:2] if options.small else USERS:
            rates = [_crowd(engine, users, new_tokens) for _ in range(options.repeats)]
            figures[f"users{users}_tokens_per_s"] = median(rates)
        with tempfile.TemporaryDirectory() as folder:
            for name, medium in MEDIA.items():
                # The first one is the tower's warm-up at these sizes.
                media = [medium(Path(folder), number, options.small) for number in range(1 + options.repeats)]
                turns = [_turns(engine, one) for one in media][1:]
                for turn, asked in enumerate(zip(*turns, strict=True), 1):
                    figures[f"{name}_ttft{turn}_s"] = median([usage.ttft or 0.0 for usage in asked])
                figures[f"{name}_tokens"] = turns[0][0].prompt_tokens
    finally:
        engine.close()
        undo(loaded.runner)
    weights = weights_of_a_token(loaded)
    figures["limit_tokens_per_s"] = round(read_rate(weights, 4) / sum(one.nbytes for one in weights), 1)
    return {key: round(value, 4) for key, value in figures.items()} | (_memory(loaded, dtype, cache) if cuda else {})


def _crowd(engine: Any, users: int, new_tokens: int) -> float:
    """Tokens per second of users who all ask at once."""
    params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=new_tokens)
    started = time.monotonic()
    asked = (Message.of("user", f"Question {number} of {started}: tell me a story.") for number in range(users))
    tickets = [engine.submit([message], params, f"user {number}") for number, message in enumerate(asked)]
    total = sum(usage_of(ticket).new_tokens for ticket in tickets)
    return total / (time.monotonic() - started)


def _picture(folder: Path, number: int, small: bool) -> Image:
    PILImage.effect_noise((1344, 1344), 40).convert("RGB").save(folder / f"{number}.png")
    return Image(folder / f"{number}.png")


def _frames(folder: Path, number: int, small: bool) -> Video:
    count = 4 if small else 64
    return Video(clip(folder / f"{number}.mp4", count, shift=number), max_frames=count)


# No two alike, for what was seen is not computed again.
MEDIA: dict[str, Callable[[Path, int, bool], Image | Video]] = {"image1344": _picture, "frames64": _frames}


def _turns(engine: Any, medium: Any) -> tuple[Usage, Usage]:
    """A first question and a follow-up."""
    params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=4, max_slice_nums=9)
    asked = [Message.of("user", medium, "What is in it?")]
    first = ask(engine, asked, params)
    return first, ask(engine, [*asked, Message.of("assistant", "Noise."), Message.of("user", "Which colour?")], params)


def _memory(loaded: LoadedModel, dtype: str, cache: int) -> dict[str, float]:
    """The device's peak against the estimate of `python -m app.doctor`, the cache beside it."""
    config = loaded.model.config
    needs = estimate(empty_model(config, FAMILY.model_class), config, dtype)
    expected = needs.weights + cache + max(needs.image, needs.frames)
    peak = torch.cuda.max_memory_allocated(loaded.device)
    return {"peak_gb": round(peak / GB, 2), "estimate_gb": round(expected / GB, 2), "ratio": round(peak / expected, 3)}
