"""What an answer is expected to take against what torch's allocator gave out for it, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import monotonic

import pytest
import torch
from PIL import Image as PILImage
from torch.profiler import ProfilerActivity, profile

from app.engine.answer import Job, answer
from app.engine.caches import Caches
from app.engine.loader import LoadedModel, load_model
from app.engine.measure import Measurer
from app.messages import FrameChoice, Image, Message, Video
from app.modeling.runner import flat
from app.sampling import SamplingParams
from app.settings import Settings

ASSETS = Path(__file__).parents[2] / "assets"
PARAMS = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=2, max_slice_nums=9, max_frames=16)
PIXEL = 4  # bytes that Pillow keeps of one, whose memory is not torch's


@cache
def tiny() -> LoadedModel:
    settings = Settings(model=str(ASSETS / "tiny-minicpm-v"), device="cpu", dtype="fp32")
    return load_model(settings, lambda fraction, detail: None)


def peak_of(work: Callable[[], None]) -> int:
    """Bytes that this thread's tensors took at most, by every allocation and release of the allocator."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    results = profiler.profiler
    assert results is not None and results.kineto_results is not None
    changes = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@pytest.fixture
def talks(tmp_path: Path) -> dict[str, list[Message]]:
    PILImage.effect_noise((1344, 1344), 50).convert("RGB").save(tmp_path / "large.png")
    clip = Video(ASSETS / "examples" / "ball.mp4", choice=FrameChoice(fps=2))
    return {
        "text": [Message.of("user", "word " * 1500)],
        "slices": [Message.of("user", Image(tmp_path / "large.png"), "What is it?")],
        "clip": [Message.of("user", clip, "What is it?")],
    }


@pytest.mark.parametrize("name", ["text", "slices", "clip"])
def test_memory_is_foretold_within_a_tenth(name: str, talks: dict[str, list[Message]]) -> None:
    loaded, measurer = tiny(), Measurer(tiny(), "pyav", keeps=False)
    job = Job(talks[name], PARAMS, lambda chunk: None, lambda: False, monotonic())
    estimate = measurer.measure(talks[name], PARAMS)
    assert estimate.tokens > 360 and (estimate.slices > 8) == (name != "text")
    torch.manual_seed(0)
    tensors = peak_of(lambda: answer(loaded, job, Caches.of(loaded.runner, 0)))
    pictures = [part for turn in measurer._read(talks[name], PARAMS, lambda: False) for part in flat(turn.content)]
    pixels = sum(part.width * part.height for part in pictures if not isinstance(part, str))
    assert estimate.memory == pytest.approx(tensors + PIXEL * pixels, rel=0.1)
