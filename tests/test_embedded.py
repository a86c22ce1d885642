"""The embedded checkpoint answers right, through the real path: a fixed small set, asked as users ask.

The skills are those it has by now; its card has the others. Pictures are drawn by the evaluation's second drawer from
fixed seeds (shapes and Pillow's own font, no downloads). The bounds lie below what was measured, so that only a broken
path fails them; the last tests break it to prove that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import av
import numpy as np
import pytest
import torch

from app.backends.local import LocalBackend
from app.messages import Image, Message, Part, Video
from app.sampling import SamplingParams
from app.settings import Settings
from finetune.tiny.case import Case
from finetune.tiny.drawer2_cases import Drawer2
from finetune.tiny.evaluate import Examinee
from tests.variants import briefly

FOLDER = Path(__file__).parents[1] / "assets" / "tiny-minicpm-v"
SEED = 7_000
# skill -> (questions, mean score that is reached with room to spare)
BOUNDS = {
    "colour": (24, 0.8),
    "colour_zh": (16, 0.8),
    "shape": (24, 0.85),
    "count": (16, 0.55),
    "position": (24, 0.75),
    "yes_no": (16, 0.8),
    "reading": (16, 0.45),
    "images": (16, 0.7),
    "describe": (16, 0.7),
    "boxes": (16, 0.7),
    "few_shot": (12, 0.7),
    "turns": (16, 0.8),
    "video": (8, 0.65),
    "small_talk": (8, 0.7),
    "small_talk_zh": (8, 0.7),
    "honesty": (16, 0.65),
}
Change = Callable[[list[Any], list[Any]], tuple[list[Any], list[Any]]]


@cache
def examinee() -> Examinee:
    return Examinee(FOLDER, batch=4)


def cases(skill: str, count: int) -> list[Case]:
    return [Drawer2()(skill, Random(f"{SEED} {skill} {number}")) for number in range(count)]


def score(skill: str, count: int) -> float:
    return fmean(one.score for one in examinee().ask(cases(skill, count)))


@pytest.mark.parametrize("skill", BOUNDS)
def test_a_skill_is_there(skill: str) -> None:
    count, bound = BOUNDS[skill]
    assert score(skill, count) >= bound


def test_the_checkpoint_is_small_and_not_random() -> None:
    assert sum(file.stat().st_size for file in FOLDER.glob("*.safetensors")) <= 25 * 1024**2
    assert not getattr(examinee().model.config, "random_weights", False)


# --- through the backend that the page uses


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    backend = LocalBackend(Settings(model=str(FOLDER), device="cpu"))
    backend.start()
    yield backend
    backend.close()


def answer(backend: LocalBackend, parts: Sequence[Part | str], **options: Any) -> str:
    message = Message.of("user", *parts)
    return "".join(chunk.text for chunk in backend.stream([message], SamplingParams(**options)))


@pytest.mark.parametrize(("skill", "bound"), [("colour", 0.8), ("shape", 0.8)])
def test_the_page_answers_right_with_its_own_settings(backend: LocalBackend, skill: str, bound: float) -> None:
    """Sampling as the page does it by default."""
    scores = []
    for case in cases(skill, 10):
        parts = [part if isinstance(part, str) else Image(part) for part in case.messages[-1]["content"]]
        scores.append(case.score(answer(backend, parts, max_new_tokens=48)))
    assert fmean(scores) >= bound


def write_clip(path: Path, frames: Sequence[Any]) -> Path:
    """One frame a second, in even sizes, as H.264."""
    width, height = (side // 2 * 2 for side in frames[0].size)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            pixels = np.asarray(frame.resize((width, height)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_video_file_is_answered(backend: LocalBackend, tmp_path: Path) -> None:
    scores = []
    for number, case in enumerate(cases("video", 4)):
        *frames, question = case.messages[-1]["content"]
        clip = Video(write_clip(tmp_path / f"{number}.mp4", frames))
        text = answer(backend, [clip, question], do_sample=False, num_beams=1, max_new_tokens=24)
        scores.append(case.score(text))
    assert fmean(scores) >= 0.6


# --- a broken path is noticed


@contextmanager
def changed(change: Change) -> Iterator[None]:
    """The model gets other slices than the processor made."""
    model = examinee().model
    original = model.get_inputs_embeds

    def broken(ids: Any, pixels: Any, sizes: Any, *rest: Any, **named: Any) -> Any:
        pairs = [change(list(p), list(s)) for p, s in zip(pixels, sizes, strict=True)]
        some = [p for p, _ in pairs]
        shapes = [torch.stack(s) if s else own for (_, s), own in zip(pairs, sizes, strict=True)]
        return original(ids, some, shapes, *rest, **named)

    model.get_inputs_embeds = broken
    try:
        yield
    finally:
        del model.get_inputs_embeds


def lost(pixels: list[Any], sizes: list[Any]) -> tuple[list[Any], list[Any]]:
    """Grey pictures."""
    return [torch.zeros_like(one) for one in pixels], sizes


@pytest.mark.parametrize("skill", briefly(["shape", "describe"], ["colour", "shape", "position", "describe", "boxes"]))
def test_lost_pictures_are_noticed(skill: str) -> None:
    count, bound = BOUNDS[skill]
    with changed(lost):
        assert score(skill, count) < bound


def swapped(pixels: list[Any], sizes: list[Any]) -> tuple[list[Any], list[Any]]:
    """The overview and the last cell in each other's place."""
    return [pixels[-1], *pixels[1:-1], pixels[0]], [sizes[-1], *sizes[1:-1], sizes[0]]


@pytest.mark.parametrize("skill", briefly(["describe"], ["count", "describe"]))
def test_a_swapped_slice_is_noticed(skill: str) -> None:
    count, bound = BOUNDS[skill]
    asked = [case for case in cases(skill, 3 * count) if min(case.messages[-1]["content"][0].size) > 240][:count]
    right = fmean(one.score for one in examinee().ask(asked))
    with changed(swapped):
        wrong = fmean(one.score for one in examinee().ask(asked))
    assert len(asked) == count and right >= bound and wrong < right / 2


def test_a_wrong_position_table_is_noticed() -> None:
    """Rows of the table in the opposite order: what is at the top left is said to be at the bottom right."""
    table = examinee().model.vpm.embeddings.position_embedding.weight
    kept = table.data.clone()
    table.data = kept.flip(0)
    try:
        count, bound = BOUNDS["boxes"]
        assert score("boxes", count) < bound
    finally:
        table.data = kept
