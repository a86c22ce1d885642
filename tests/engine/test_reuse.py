"""Nothing is computed twice, and nothing changes by it: the same tokens with caches and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PILImage
from PIL import ImageDraw

from app.engine import plain
from app.engine.loader import LoadedModel
from app.engine.plain import PlainEngine
from app.engine.tickets import drain
from app.messages import Chunk, Image, Message, Part, Video
from app.sampling import SamplingParams
from tests.engine.conftest import loaded_model
from tests.engine.test_inspect import native
from tests.engine.test_plain import GREEDY, clip, text_of, usage_of, wait
from tests.modeling.golden import MODELS
from tests.modeling.legacy import LEGACY

SHORT = replace(GREEDY, max_new_tokens=8)
Ask = Callable[..., tuple[str, Any]]


@pytest.fixture(params=[*MODELS, *LEGACY])
def member(request: pytest.FixtureRequest) -> LoadedModel:
    return loaded_model(request.param)


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Asks an engine that keeps everything, and one that keeps nothing, which must say the same."""
    engines: dict[int, PlainEngine] = {}

    def ask(member: LoadedModel, messages: Sequence[Message], params: SamplingParams = SHORT) -> tuple[str, Any]:
        if not engines:
            engines[0] = PlainEngine(replace(member), cache_bytes=0)
            engines[1] = PlainEngine(replace(member), cache_bytes=64 * 1024**2)
        without, with_caches = (wait(engines[index].submit(messages, params)) for index in (0, 1))
        assert usage_of(without).cached_tokens == 0
        assert text_of(with_caches) == text_of(without)
        return text_of(with_caches), usage_of(with_caches)

    yield ask
    for engine in engines.values():
        engine.close()


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Image]:
    def draw(name: str, shade: int = 90, size: tuple[int, int] = (300, 200)) -> Image:
        picture = PILImage.new("RGB", size, (shade, 40, 200))
        ImageDraw.Draw(picture).ellipse((20, 20, 120, 150), fill=(250, shade, 30))
        picture.save(tmp_path / name)
        return Image(tmp_path / name)

    return draw


def turns(*said: Part | str | tuple[Part | str, ...]) -> list[Message]:
    """A conversation, the user's turn first."""
    contents = [one if isinstance(one, tuple) else (one,) for one in said]
    return [Message.of("user" if at % 2 == 0 else "assistant", *one) for at, one in enumerate(contents)]


def test_a_second_question_about_a_picture_computes_only_the_question(
    member: LoadedModel, ask: Ask, draw: Callable[..., Image]
) -> None:
    picture = draw("a.png")
    answer, first = ask(member, turns((picture, "What is this?")))
    assert first.cached_tokens == first.cached_slices == 0
    _, second = ask(member, turns((picture, "What is this?"), answer, "And what colour?"))
    assert second.cached_tokens >= first.prompt_tokens
    assert second.cached_slices > 0
    _, again = ask(member, turns((picture, "What is this?"), answer, "And what colour?"))
    assert again.cached_tokens == again.prompt_tokens - 1
    _, edited = ask(member, turns((picture, "What is that?")))
    assert first.vision_tokens < edited.cached_tokens < first.prompt_tokens


@pytest.mark.parametrize("name", ["4.6", "4.7"])
def test_the_librarys_models_say_the_same_with_caches(
    name: str, ask: Ask, draw: Callable[..., Image], tmp_path: Path
) -> None:
    """Where layers sum up the past it can only be gone on from."""
    member, picture = native(name, tmp_path), draw("a.png")
    answer, first = ask(member, turns((picture, "What is this?")))
    _, second = ask(member, turns((picture, "What is this?"), answer, "And what colour?"))
    assert first.cached_slices == 0 and second.cached_slices > 0
    for said in (("What is this?", answer, "And what colour?"), ("What is that?",), ("What is this?",)):
        _, usage = ask(member, turns((picture, said[0]), *said[1:]))
        assert usage.cached_slices == second.cached_slices, said


def test_a_beam_search_between_two_turns_changes_nothing(
    member: LoadedModel, ask: Ask, draw: Callable[..., Image]
) -> None:
    picture = draw("a.png")
    answer, first = ask(member, turns((picture, "What is this?")), replace(SHORT, num_beams=3))
    _, second = ask(member, turns((picture, "What is this?"), answer, "And what colour?"))
    assert second.cached_tokens >= first.prompt_tokens


def test_pictures_are_known_by_their_pixels_not_by_their_name(ask: Ask, draw: Callable[..., Image]) -> None:
    member = loaded_model(MODELS[0])
    ask(member, turns((draw("a.png", 90), "What is this?")))
    _, other = ask(member, turns((draw("a.png", 91), "What is this?")))
    assert other.cached_slices == 0 and other.cached_tokens < other.vision_tokens
    _, renamed = ask(member, turns((draw("b.png", 90), "What?")))
    assert renamed.cached_slices > 0 and renamed.cached_tokens > renamed.vision_tokens


def test_a_picture_cut_otherwise_is_encoded_again(ask: Ask, draw: Callable[..., Image]) -> None:
    member = loaded_model("minicpm-v-2_6")
    picture = draw("a.png", size=(900, 700))
    _, whole = ask(member, turns((picture, "What?")), replace(SHORT, max_slice_nums=1))
    _, cut = ask(member, turns((picture, "What?")), replace(SHORT, max_slice_nums=4))
    assert cut.vision_tokens > whole.vision_tokens and cut.cached_slices == 0


def test_a_second_picture_leaves_the_first_encoded(ask: Ask, draw: Callable[..., Image]) -> None:
    member = loaded_model("minicpm-v-2_6")
    one, other = draw("a.png", 10), draw("b.png", 250)
    ask(member, turns((one, "What?")))
    _, both = ask(member, turns((other, one, "Which?")))
    slices = both.vision_tokens // 64
    assert both.cached_slices == slices // 2 and both.cached_tokens < 64


def test_where_pictures_change_each_other_all_are_encoded_again(ask: Ask, draw: Callable[..., Image]) -> None:
    """MiniCPM-Llama3-V 2.5 pads all slices to the longest of the conversation."""
    member = loaded_model("minicpm-llama3-v-2_5")
    small, large = draw("a.png", size=(800, 100)), draw("b.png", size=(440, 440))
    answer, first = ask(member, turns((small, "What?")))
    _, second = ask(member, turns((small, "What?"), answer, (large, "And this?")))
    assert second.cached_slices == 0 and second.cached_tokens < first.vision_tokens
    _, third = ask(member, turns((small, "What?"), answer, (large, "And that?")))
    assert third.cached_slices == second.vision_tokens // member.model.config.query_num


def test_examples_are_shared_by_conversations(ask: Ask, draw: Callable[..., Image]) -> None:
    member = loaded_model("minicpm-v-2_6")
    examples: list[Any] = [(draw("a.png", 10), "What?"), "one", (draw("b.png", 250), "What?"), "two"]
    _, first = ask(member, turns(*examples, (draw("c.png", 60), "What?")))
    _, second = ask(member, turns(*examples, (draw("d.png", 160), "What?")))
    assert second.cached_slices == 2 * first.vision_tokens // 64 // 3
    assert second.cached_tokens > first.prompt_tokens // 2


def test_a_video_is_decoded_once(
    ask: Ask, tmp_path: Path, draw: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.media.video

    member = loaded_model("minicpm-v-2_6")
    video = Video(clip(tmp_path / "clip.mp4", 3, 120))
    decoded: list[Path] = []
    read = app.media.video.read_frames

    def counted(source: Path, *args: Any, **kwargs: Any) -> Any:
        decoded.append(source)
        return read(source, *args, **kwargs)

    monkeypatch.setattr(app.media.video, "read_frames", counted)
    answer, _ = ask(member, turns((video, "What?")))
    assert len(decoded) == 2  # once by each of the two engines
    _, second = ask(member, turns((video, "What?"), answer, "And?"))
    assert len(decoded) == 3 and second.cached_slices == 3
    ask(member, turns((replace(video, max_frames=2), "What?")))
    assert len(decoded) == 5
    clip(tmp_path / "clip.mp4", 3, 30)  # another film under the same name
    _, changed = ask(member, turns((video, "What?")))
    assert len(decoded) == 7 and changed.cached_slices < 3  # its frames are alike, so one is encoded for all


def test_a_stopped_answer_is_gone_on_from(ask: Ask, draw: Callable[..., Image]) -> None:
    member = loaded_model("minicpm-v-2_6")
    engine = PlainEngine(replace(member), cache_bytes=64 * 1024**2)
    long = replace(SHORT, max_new_tokens=2000, min_new_tokens=2000)
    messages = turns((draw("a.png"), "What?"))
    ticket = engine.submit(messages, long)
    chunks: list[Chunk] = []
    while not text_of(chunks):
        chunks.extend(event for event in drain(ticket, 0.1) if isinstance(event, Chunk))
    ticket.cancel()
    stopped = wait(engine.submit(messages, SHORT))
    engine.close()
    answer, _ = ask(member, messages)
    assert text_of(stopped) == answer and usage_of(stopped).cached_tokens == usage_of(stopped).prompt_tokens - 1


def test_memory_that_runs_out_is_taken_from_what_was_kept(
    draw: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    member = loaded_model("minicpm-v-2_6")
    engine = PlainEngine(replace(member), cache_bytes=64 * 1024**2)
    first = wait(engine.submit(turns((draw("a.png"), "What?")), SHORT))
    caches = engine._caches
    assert caches.prefixes.bytes > 0 and caches.runner.features
    run, failed = plain.answer, []

    def full(*args: Any, **kwargs: Any) -> None:
        if caches.prefixes.bytes:
            failed.append(True)
            raise MemoryError
        run(*args, **kwargs)

    monkeypatch.setattr(plain, "answer", full)
    again = wait(engine.submit(turns((draw("a.png"), "What?")), SHORT))
    engine.close()
    assert failed == [True] and text_of(again) == text_of(first) and usage_of(again).cached_tokens == 0
