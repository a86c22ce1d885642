"""How the time to the first token and tokens per second grow with turns, pictures and users.

`turnsN`: question N of a conversation, with the turns before it kept and with nothing kept (`ratio`, the one over the
other). `imagesN`: a question about N pictures of 448 x 448 pixels, and a follow-up to it (`ratio`). `usersN`: N
questions at once in the batched engine; `ratio` is all their tokens per second over those of one user.

The benchmark's own checkpoint is half as wide and deep as elsewhere. --plot FILE draws the figures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image as PILImage

from app.engine.batched import BatchedEngine
from app.engine.choose import why_not_batched
from app.engine.loader import LoadedModel, load_model
from app.engine.plain import PlainEngine
from app.messages import Image, Message, Usage
from benchmarks.asking import ask, greedy, usage_of
from benchmarks.options import Cases, Options, median
from benchmarks.plot import draw
from benchmarks.timing import ratio

REPEATS = 3
MOST_TURNS = MOST_IMAGES = 64
MOST_USERS = 32
CACHE = 512 * 1024**2


def run(options: Options) -> Cases:
    """All three, one after another; draws them if asked."""
    options = replace(options, scale=0.5)
    loaded, new_tokens = _load(options), 4 if options.small else 32
    kept, forgetful = PlainEngine(loaded, cache_bytes=CACHE), PlainEngine(replace(loaded), cache_bytes=0)
    for engine in (kept, forgetful):  # a warm-up
        ask(engine, [Message.of("user", _picture(), "Hello!")], greedy(2))
    cases = _turns(options, kept, forgetful, new_tokens) | _images(options, kept, new_tokens)
    for engine in (kept, forgetful):
        engine.close()
    if not why_not_batched(loaded):
        cases |= _users(options, new_tokens)
    if options.plot:
        draw(cases, options.plot)
    return cases


def _load(options: Options) -> LoadedModel:
    return load_model(options.settings(), lambda fraction, detail: None)


def _doubling(most: int, small: bool) -> Iterator[int]:
    """1, 2, 4 up to the most; two of them where nothing is to be learned."""
    count = 1
    while count <= (2 if small else most):
        yield count
        count *= 2


def _turns(options: Options, kept: PlainEngine, forgetful: PlainEngine, new_tokens: int) -> Cases:
    cases: Cases = {}
    params = greedy(new_tokens)
    for count in _doubling(MOST_TURNS, options.small):
        rows = []
        for repeat in range(options.repeats):
            if count > 1:
                ask(kept, _conversation(count - 1, repeat), greedy(1))
            asked = _conversation(count, repeat)
            rows.append((ask(kept, asked, params), ask(forgetful, asked, params)))
        with_it, without = ([row[index] for row in rows] for index in (0, 1))
        cases[f"turns{count}"] = {
            **_figures(with_it),
            "forgotten_ttft_s": _median_ttft(without),
            "ratio": ratio(_ttfts(with_it), _ttfts(without)),
        }
    return cases


def _conversation(turns: int, repeat: int) -> list[Message]:
    """Questions of a few words with answers of a few more; the last is open."""
    said = []
    for turn in range(turns):
        question = f"Conversation {repeat}, question {turn}: what stands next to the house on the hill?"
        said += [
            Message.of("user", question),
            Message.of("assistant", f"Next to it stands tree number {turn}, and behind that a small red barn."),
        ]
    return said[:-1]


def _images(options: Options, kept: PlainEngine, new_tokens: int) -> Cases:
    cases: Cases = {}
    for count in _doubling(MOST_IMAGES, options.small):
        rows = []
        for _ in range(options.repeats):
            first = [Message.of("user", *(_picture() for _ in range(count)), "What is in them?")]
            again = [*first, Message.of("assistant", "A grey noise."), Message.of("user", "And what is in the last?")]
            rows.append(tuple(ask(kept, messages, greedy(new_tokens)) for messages in (first, again)))
        firsts, agains = ([row[index] for row in rows] for index in (0, 1))
        cases[f"images{count}"] = {
            **_figures(firsts),
            "follow_up_ttft_s": _median_ttft(agains),
            "ratio": ratio(_ttfts(agains), _ttfts(firsts)),
        }
    return cases


def _picture() -> Image:
    """One that was never there before."""
    return Image(PILImage.effect_noise((448, 448), 40).convert("RGB"))


def _users(options: Options, new_tokens: int) -> Cases:
    cases: Cases = {}
    engine = BatchedEngine(_load(options), cache_bytes=CACHE)
    _crowd(engine, 2, "warm-up", 2)
    alone = 0.0
    for count in _doubling(MOST_USERS, options.small):
        found = [_crowd(engine, count, f"{count}, {repeat}", new_tokens) for repeat in range(options.repeats)]
        rate = median([one["rate"] for one in found], 1)
        alone = alone or rate
        cases[f"users{count}"] = {
            "tokens_per_s": rate,
            "ratio": round(rate / alone, 3),
            "ttft_s": median([one["ttft"] for one in found]),
            "worst_gap_s": median([one["gap"] for one in found]),
        }
    engine.close()
    return cases


def _crowd(engine: BatchedEngine, users: int, name: str, new_tokens: int) -> dict[str, float]:
    """All ask at once, each something else."""
    started = time.monotonic()
    asked = [Message.of("user", f"Crowd {name}, user {user}: tell a short story.") for user in range(users)]
    tickets = [engine.submit([message], greedy(new_tokens), f"user {user}") for user, message in enumerate(asked)]
    usages = [usage_of(ticket) for ticket in tickets]
    return {
        "rate": users * new_tokens / (time.monotonic() - started),
        "ttft": _median_ttft(usages),
        "gap": max(usage.longest_gap or 0.0 for usage in usages),
    }


def _figures(usages: Sequence[Usage]) -> dict[str, Any]:
    last = usages[-1]
    return {
        "ttft_s": _median_ttft(usages),
        "tokens_per_s": median([usage.tokens_per_second or 0.0 for usage in usages], 1),
        "prompt_tokens": last.prompt_tokens,
        "cached_tokens": last.cached_tokens,
    }


def _ttfts(usages: Sequence[Usage]) -> list[float]:
    return [usage.ttft or 0.0 for usage in usages]


def _median_ttft(usages: Sequence[Usage]) -> float:
    return median(_ttfts(usages))
