"""Tokens per second of one answer against what the machine's memory allows.

For each token all weights of the language model and the keys and values so far are read once (`mb_per_token`). How
fast this machine reads is measured between the answers on those same weights: `limit_tokens_per_s` if they are only
looked at, `matvec_tokens_per_s` if each is multiplied with one vector, which is the least that decoding must compute.
`ratio` is the share of the limit that is reached. Nothing is kept between answers: `ttft_s` is a first question's.
With --compile the same is asked in turn with compiled layers: `compiled_tokens_per_s`, and `compiled_ratio` over those
that are not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image as PILImage
from torch import Tensor
from torch.nn import functional as F

from app.engine.compiling import compile_layers
from app.engine.loader import LoadedModel, load_model
from app.engine.memory import kv_bytes_per_token
from app.engine.plain import PlainEngine
from app.messages import Image, Message, Usage, Video
from benchmarks.asking import ask, greedy
from benchmarks.clips import clip
from benchmarks.options import Cases, Options, median
from benchmarks.timing import ratio, seconds_of

REPEATS = 3
# How often the weights are read per measurement: about as long as an answer takes, so that noise meets both alike.
ROUNDS = 32


def run(options: Options) -> Cases:
    """Every kind of question, and between them the machine's rate of reading."""
    loaded = load_model(options.settings(), lambda fraction, detail: None)
    engine = PlainEngine(loaded, cache_bytes=0)
    compiled = _compiled_engine(options) if options.compiled else None
    params = greedy(8 if options.small else 64)
    cases: Cases = {}
    weights = weights_of_a_token(loaded)
    for _ in range(2):  # a warm-up
        ask(engine, [Message.of("user", "Hello!")], greedy(2))
        read_rate(weights, 1)
    rounds = 1 if options.small else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        for name, message in _questions(Path(folder)):
            usages, reads, products, faster = [], [], [], []
            for _ in range(options.repeats):
                usages.append(ask(engine, [message], params))
                if compiled:
                    faster.append(ask(compiled, [message], params).tokens_per_second or 0.0)
                reads.append(read_rate(weights, rounds))
                products.append(product_rate(weights, rounds))
            cases[name] = _summary(loaded, sum(weight.nbytes for weight in weights), usages, reads, products)
            if compiled:
                rates = [usage.tokens_per_second or 0.0 for usage in usages]
                cases[name] |= {"compiled_tokens_per_s": median(faster, 1), "compiled_ratio": ratio(faster, rates)}
    for one in filter(None, (engine, compiled)):
        one.close()
    return cases


def _compiled_engine(options: Options) -> PlainEngine:
    """On a model of its own, after a warm-up."""
    loaded = load_model(options.settings(compile=True), lambda fraction, detail: None)
    compile_layers(loaded.runner)
    engine = PlainEngine(loaded, cache_bytes=0)
    ask(engine, [Message.of("user", "Hello!")], greedy(2))
    return engine


def weights_of_a_token(loaded: LoadedModel) -> list[Tensor]:
    """What every token reads: the decoder, but of its table of embeddings one row only, and the head."""
    table, head = loaded.model.get_input_embeddings(), loaded.model.get_output_embeddings()
    found = {id(weight): weight for module in (loaded.runner.language_model, head) for weight in module.parameters()}
    if table.weight is not head.weight:
        found.pop(id(table.weight), None)
    return [weight.detach() for weight in found.values()]


def read_rate(weights: Sequence[Tensor], rounds: int) -> float:
    """Bytes per second at which weights are read, whatever stands in them."""
    words = [weight.flatten().view(torch.uint8) for weight in weights]
    words = [word[: len(word) // 8 * 8].view(torch.int64) for word in words]
    seconds = seconds_of(lambda: [word.amax() for _ in range(rounds) for word in words])
    return rounds * sum(word.nbytes for word in words) / seconds


def product_rate(weights: Sequence[Tensor], rounds: int) -> float:
    """The same where each matrix is multiplied with a vector; quantised ones are left out."""
    matrices = [weight for weight in weights if weight.ndim == 2 and weight.is_floating_point()]
    vectors = [matrix.new_ones(1, matrix.shape[1]) for matrix in matrices]
    with torch.inference_mode():
        pairs = list(zip(vectors, matrices, strict=True)) * rounds
        seconds = seconds_of(lambda: [F.linear(vector, matrix) for vector, matrix in pairs])
    return rounds * sum(matrix.nbytes for matrix in matrices) / seconds


def _questions(folder: Path) -> Iterator[tuple[str, Message]]:
    """Text alone, a small and a large picture, and a clip of 16 seconds."""
    gradient = PILImage.linear_gradient("L").convert("RGB")
    yield "text", Message.of("user", "Write a short story about a cat and a mountain.")
    yield "image448", Message.of("user", Image(gradient.resize((448, 448))), "What is in the image?")
    yield "image1344", Message.of("user", Image(gradient.resize((1344, 1344))), "What is in the image?")
    yield "video16", Message.of("user", Video(clip(folder / "clip.mp4", 16)), "What happens?")


def _summary(
    loaded: LoadedModel, weights: int, usages: Sequence[Usage], reads: Sequence[float], products: Sequence[float]
) -> dict[str, float]:
    config = loaded.runner.language_model.config
    width = torch.finfo(loaded.model.dtype).bits // 8
    last = usages[-1]
    positions = last.prompt_tokens + last.new_tokens / 2
    per_token = weights + positions * kv_bytes_per_token(config, width)
    rates = [usage.tokens_per_second or 0.0 for usage in usages]
    limits = [read / per_token for read in reads]
    return {
        "tokens_per_s": median(rates, 1),
        "limit_tokens_per_s": median(limits, 1),
        "matvec_tokens_per_s": median([product / per_token for product in products], 1),
        "ratio": ratio(rates, limits),
        "mb_per_token": round(per_token / 1e6, 1),
        "read_gb_per_s": round(median(reads) / 1e9, 2),
        "ttft_s": median([usage.ttft or 0.0 for usage in usages]),
        "prompt_tokens": last.prompt_tokens,
        "vision_tokens": last.vision_tokens or 0,
    }
