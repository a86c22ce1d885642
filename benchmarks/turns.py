"""Time to the first token of a follow-up question against that of the first one.

`image10`: a picture of 1344 x 1344 pixels, 10 slices; `video64`: 64 frames of a clip. The follow-up has 20 tokens.
`ratio` is the second over the first. Then the follow-up is asked in other words (`edited_s`), and the first question
again (`regenerate_s`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image as PILImage

from app.engine.choose import make_engine
from app.engine.loader import load_model
from app.messages import Image, Message, Part, Usage, Video
from benchmarks.asking import ask, greedy
from benchmarks.clips import clip
from benchmarks.options import Cases, Options, median

REPEATS = 3
FIRST = "What is in it?"
# 20 tokens of the embedded model's tokenizer.
SECOND = "What colour is the circle on the left and what is in the middle of the picture?"
EDITED = "What colour is the square on the right and what is at the top of the picture?"


def run(options: Options) -> Cases:
    """Each medium: two turns, the second edited, then the first once more; new media every time."""
    loaded = load_model(options.settings(), lambda fraction, detail: None)
    engine = make_engine(loaded, options.settings(cache_size=1024**3))
    params = greedy(4, max_slice_nums=9)
    found: dict[str, list[list[Usage]]] = {"image10": [], "video64": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.repeats):
            for name in found:
                said = _conversation(_medium(name, Path(folder), number, options.small))
                found[name].append([ask(engine, messages, params) for messages in said])
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
    answered = [*first, Message.of("assistant", "A grey noise.")]
    return [first, [*answered, Message.of("user", SECOND)], [*answered, Message.of("user", EDITED)], first]


def _summary(rows: list[list[Usage]]) -> dict[str, float]:
    firsts, seconds, edits, agains = ([usage.ttft or 0.0 for usage in usages] for usages in zip(*rows, strict=True))
    ratios = [after / before for before, after in zip(firsts, seconds, strict=True)]
    second = rows[-1][1]
    return {
        "ttft1_s": median(firsts),
        "ttft2_s": median(seconds),
        "ratio": median(ratios),
        "edited_s": median(edits),
        "regenerate_s": median(agains),
        "prompt_tokens": second.prompt_tokens,
        "cached_tokens": second.cached_tokens,
        "cached_slices": second.cached_slices,
    }
