"""Time to the first token of a follow-up question against that of the first one.

`image10`: a picture of 1344 x 1344 pixels, 10 slices; `video64`: 64 frames of a clip. The follow-up has 20 tokens.
`ratio` is the second over the first. `turn2` answers after what was kept; `regenerate` asks the first question again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image as PILImage

from app.engine.choose import make_engine
from app.engine.loader import load_model
from app.messages import Image, Message, Part, Usage, Video
from app.sampling import SamplingParams
from benchmarks.asking import usage_of
from benchmarks.clips import clip
from benchmarks.options import Cases, Options, median

REPEATS = 3
FIRST = "What is in it?"
# 20 tokens of the embedded model's tokenizer.
SECOND = "What colour is the circle on the left and what is in the middle of the picture?"


def run(options: Options) -> Cases:
    """Each medium: two turns, then the first once more; new media every time."""
    loaded = load_model(options.settings(), lambda fraction, detail: None)
    engine = make_engine(loaded, options.settings(cache_size=1024**3))
    params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=4, min_new_tokens=4, max_slice_nums=9)
    found: dict[str, list[list[Usage]]] = {"image10": [], "video64": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.repeats):
            for name in found:
                said = _conversation(_medium(name, Path(folder), number, options.small))
                found[name].append([usage_of(engine.submit(messages, params)) for messages in said])
    engine.close()
    return {f"{name}.turn2": _summary(rows) for name, rows in found.items()}


def _medium(name: str, folder: Path, number: int, small: bool) -> Part:
    if name == "image10":
        path = folder / f"{number}.png"
        PILImage.effect_noise((1344, 1344), 40 + number).convert("RGB").save(path)
        return Image(path)
    return Video(clip(folder / f"{number}.mp4", 4 if small else 64, shift=number))


def _conversation(medium: Part) -> list[list[Message]]:
    first = [Message.of("user", medium, FIRST)]
    return [first, [*first, Message.of("assistant", "A grey noise."), Message.of("user", SECOND)], first]


def _summary(rows: list[list[Usage]]) -> dict[str, float]:
    firsts, seconds, agains = ([usage.ttft or 0.0 for usage in usages] for usages in zip(*rows, strict=True))
    ratios = [second / first for first, second in zip(firsts, seconds, strict=True)]
    _, last, _ = rows[-1]
    return {
        "ttft1_s": median(firsts),
        "ttft2_s": median(seconds),
        "ratio": median(ratios),
        "regenerate_s": median(agains),
        "prompt_tokens": last.prompt_tokens,
        "cached_tokens": last.cached_tokens,
        "cached_slices": last.cached_slices,
    }
