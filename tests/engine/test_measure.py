"""What is foretold of an answer against what it took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as PILImage

from app.engine.measure import Measurer
from app.engine.plain import PlainEngine
from app.messages import FrameChoice, Image, Message, Video
from app.meter import what_fits
from app.sampling import SamplingParams
from tests.engine.conftest import loaded_model
from tests.engine.test_inspect import WITH_IDS, moving, native
from tests.engine.test_plain import messages_of, usage_of, wait
from tests.modeling.golden import MODELS, Case
from tests.modeling.legacy import LEGACY

SHORT = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=2, max_slice_nums=4)


def noise(folder: Path, name: str, size: tuple[int, int]) -> Image:
    PILImage.effect_noise(size, 50).convert("RGB").save(folder / name)
    return Image(folder / name)


@pytest.mark.parametrize("case", WITH_IDS, ids=str)
def test_tokens_of_golden_conversations_are_exact(case: Case) -> None:
    loaded = loaded_model(case.model)
    measured = Measurer(loaded, "pyav", keeps=True).measure(messages_of(case), replace(SHORT, max_slice_nums=9))
    assert measured.tokens == case.tensors["input_ids"].shape[1]


@pytest.mark.parametrize("name", [*MODELS, *LEGACY, "4.6", "4.7"])
def test_tokens_are_exact_for_files_of_every_family(name: str, tmp_path: Path) -> None:
    loaded = native(name, tmp_path) if name.startswith("4") else loaded_model(name)
    wide = noise(tmp_path, "wide.png", (900, 420))
    messages = [Message.of("user", wide, "What is it?")]
    if loaded.family.video:
        clip = Video(moving(tmp_path / "clip.mp4"), choice=FrameChoice(fps=2, dropped=frozenset({3})))
        tall = noise(tmp_path, "tall.jpg", (40, 90))
        messages += [Message.of("assistant", "Noise."), Message.of("user", "Now", clip, tall, "?")]
    measured = Measurer(loaded, "pyav", keeps=True).measure(messages, SHORT)
    engine = PlainEngine(loaded, cache_bytes=0)
    try:
        usage = usage_of(wait(engine.submit(messages, SHORT)))
    finally:
        engine.close()
    assert (measured.tokens, measured.vision_tokens) == (usage.prompt_tokens, usage.vision_tokens)
    last = sum(measured.attachments)
    assert len(measured.attachments) == (2 if loaded.family.video else 1)
    assert last <= measured.vision_tokens
    if not loaded.family.video:
        assert last == measured.vision_tokens


def test_what_is_reused_is_foretold(tmp_path: Path) -> None:
    loaded = loaded_model("minicpm-v-2_6")
    measurer, engine = Measurer(loaded, "pyav", keeps=True), PlainEngine(loaded, cache_bytes=64 * 1024**2)
    try:
        first = [Message.of("user", noise(tmp_path, "a.png", (900, 420)), "What is it?")]
        wait(engine.submit(first, SHORT))
        second = [*first, Message.of("assistant", "Noise."), Message.of("user", "Sure?")]
        usage = usage_of(wait(engine.submit(second, SHORT)))
        measured = measurer.measure(second, SHORT)
    finally:
        engine.close()
    assert measured.new_slices == 0
    assert measured.new_tokens < 40
    assert usage.prompt_tokens - usage.cached_tokens < 40
    assert Measurer(loaded, "pyav", keeps=False).measure(second, SHORT).new_tokens == measured.tokens


def test_nothing_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = noise(tmp_path, "a.jpg", (900, 420))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    measured = Measurer(loaded_model("minicpm-v-2_6"), "pyav", keeps=True).measure(
        [Message.of("user", picture, "?")], SHORT
    )
    assert measured.vision_tokens > 0


def test_over_the_context_it_says_so_and_what_would_fit(tmp_path: Path) -> None:
    loaded = loaded_model("minicpm-v-2_6")
    measurer = Measurer(loaded, "pyav", keeps=True)
    large = noise(tmp_path, "large.png", (1300, 1300))
    talk = [Message.of("user", "word " * 60), Message.of("assistant", "Yes."), Message.of("user", large, "And this?")]
    params = replace(SHORT, max_slice_nums=9)
    fitting = measurer.measure(talk, replace(params, max_slice_nums=4))
    object.__setattr__(loaded, "context", fitting.tokens + params.max_new_tokens)
    assert not measurer.measure(talk, params).fits
    fixes = what_fits(measurer.measure, talk, params, images=True, videos=False)
    assert [fix.kind for fix in fixes] == ["max_slice_nums"] or fixes[-1].kind == "leave_out"
    for fix in fixes:
        if fix.kind == "leave_out":
            assert measurer.measure(talk[2 * fix.value :], params).fits
        else:
            assert measurer.measure(talk, replace(params, **{fix.kind: fix.value})).fits
            if fix.value + 1 < 9:
                assert not measurer.measure(talk, replace(params, **{fix.kind: fix.value + 1})).fits


def test_over_the_memory_less_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measurer = Measurer(loaded_model("minicpm-v-2_6"), "pyav", keeps=True)
    question = [Message.of("user", noise(tmp_path, "large.png", (1300, 1300)), "?")]
    params = replace(SHORT, max_slice_nums=9)
    free = measurer.measure(question, replace(params, max_slice_nums=4)).memory
    monkeypatch.setattr("app.engine.measure.free_bytes", lambda device: free)
    assert measurer.measure(question, params).short_of_memory
    (fix,) = what_fits(measurer.measure, question, params, images=True, videos=False)
    assert fix.kind == "max_slice_nums"
    assert 4 <= fix.value < 9
