"""MiniCPM-V 4.6 and 4.7 from a checkpoint's folder to streamed answers.

The proof of the answers is the library itself: its own `generate`, called with its own processor's batch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForImageTextToText

from app.backends.local import LocalBackend
from app.engine.loader import load_model
from app.errors import CheckpointError, ContextLengthError, UnsupportedModelError
from app.families import all_families
from app.media.video import read_frames
from app.messages import Image, Message, Usage, Video
from app.modeling.auto import find_member
from app.modeling.native_processing import Processor46, Processor47
from app.sampling import SamplingParams
from app.settings import Settings
from tests.families.tiny_native import CLASSES, NAMES, build
from tests.media.clips import write_clip

GREEDY = SamplingParams(do_sample=False, num_beams=1, repetition_penalty=1.0, max_new_tokens=16)
PROCESSORS: dict[str, Any] = {"4.6": Processor46, "4.7": Processor47}


def picture(width: int, height: int, seed: int) -> PILImage.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
    return PILImage.fromarray(noise).resize((width, height), PILImage.Resampling.BICUBIC)


LARGE, SMALL = picture(900, 700, 1), picture(120, 60, 2)


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(name: str, checkpoints: dict[str, Path]) -> Path:
    return checkpoints[name]


def settings(folder: Path) -> Settings:
    return Settings(model=str(folder), port=1, device="cpu", dtype="fp32")


@pytest.fixture(scope="module")
def backend(folder: Path) -> Iterator[LocalBackend]:
    backend = LocalBackend(settings(folder))
    backend.start()
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def library(name: str, folder: Path) -> tuple[Any, Any]:
    """The library's model and processor, apart from those of the backend."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), PROCESSORS[name].read(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(path, frames=3, fps=1)
    return path


def ask(backend: LocalBackend, params: SamplingParams, *messages: Message) -> tuple[str, Usage]:
    chunks = list(backend.stream(messages, params))
    assert chunks[-1].finish_reason and chunks[-1].usage
    return "".join(chunk.text for chunk in chunks), chunks[-1].usage


def as_library(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as the library's processors take them."""

    def part(part: Any) -> dict[str, Any]:
        if isinstance(part, Image):
            return {"type": "image", "image": part.source}
        if isinstance(part, Video):
            return {"type": "video", "video": read_frames(part.source, 64).frames}
        return {"type": "text", "text": part.text}

    return [{"role": message.role, "content": [part(item) for item in message.content]} for message in messages]


def directly(library: tuple[Any, Any], messages: Sequence[Message], params: SamplingParams) -> str:
    """The library's own answer to the same messages."""
    model, processor = library
    conversation = as_library(messages)
    prompt = processor.apply_chat_template(
        conversation, tokenize=False, add_generation_prompt=True, enable_thinking=params.enable_thinking
    )
    parts = [part for message in conversation for part in message["content"]]
    images = [part["image"] for part in parts if part["type"] == "image"] or None
    videos = [part["video"] for part in parts if part["type"] == "video"] or None
    inputs = processor(
        text=[prompt],
        images=images,
        videos=videos,
        # One limit for both here: the frames of the clip are too small to be cut.
        max_slice_nums=params.max_slice_nums,
        downsample_mode=params.downsample_mode,
        use_image_id=videos is None,
    )
    tokenizer = processor.tokenizer
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    output = model.generate(
        **inputs,
        downsample_mode=params.downsample_mode,
        do_sample=False,
        num_beams=params.num_beams,
        max_new_tokens=params.max_new_tokens,
        eos_token_id=ends,
        pad_token_id=0,
    )
    new = output[0, inputs["input_ids"].shape[1] :].tolist()
    new = new[: next((at for at, token in enumerate(new) if token in ends), len(new))]
    return without_thinking(tokenizer, new)


def without_thinking(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The text of tokens that lie outside of thinking; random models begin and end it anywhere."""
    opening, closing = tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    pieces: list[list[int]] = [[]]
    shown = True
    for token in tokens:
        if token in (opening, closing):
            shown = token == closing
            pieces.append([])
        elif shown:
            pieces[-1].append(token)
    return "".join(tokenizer.decode(piece) for piece in pieces).strip()


def conversations(clip: Path) -> dict[str, tuple[Message, ...]]:
    return {
        "text": (Message.of("user", "Write a short story about a cat."),),
        "image": (Message.of("user", Image(LARGE), "What is this?"),),
        "images": (Message.of("user", "First", Image(SMALL), "then", Image(LARGE), "Compare."),),
        "video": (Message.of("user", Video(clip), "What happens?"),),
        "turns": (
            Message.of("user", Image(SMALL), "What is this?"),
            Message.of("assistant", "A cat."),
            Message.of("user", "And this?", Image(LARGE)),
        ),
    }


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize("case", ["text", "image", "images", "video", "turns"])
def test_answers_equal_the_librarys_own(
    backend: LocalBackend, library: tuple[Any, Any], clip: Path, case: str, mode: str, beams: int
) -> None:
    messages = conversations(clip)[case]
    params = SamplingParams(
        do_sample=False, num_beams=beams, repetition_penalty=1.0, max_new_tokens=16, downsample_mode=mode
    )
    text, _ = ask(backend, params, *messages)
    assert text == directly(library, messages, params)


def test_the_steps_of_reading_a_prompt_do_not_change_the_answer(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Message.of("user", Image(LARGE), "Compare", Image(SMALL))
    whole, usage = ask(backend, GREEDY, question)
    assert usage.prompt_tokens > 300
    monkeypatch.setattr("app.engine.answer.prefill_step", lambda device: 37)
    assert ask(backend, GREEDY, question)[0] == whole


def test_an_answer_leaves_nothing_behind_for_the_next(backend: LocalBackend) -> None:
    text = Message.of("user", "Write a short story about a cat.")
    before = ask(backend, GREEDY, text)[0]
    ask(backend, GREEDY, Message.of("user", Image(LARGE), "What is this?"))
    assert ask(backend, GREEDY, text)[0] == before


def test_finer_downsampling_has_four_times_the_vision_tokens(backend: LocalBackend) -> None:
    question = Message.of("user", Image(picture(448, 448, 3)), "What is this?")
    counts = [
        ask(backend, SamplingParams(max_new_tokens=1, downsample_mode=mode), question)[1].vision_tokens
        for mode in ("16x", "4x")
    ]
    assert counts == [64, 256]


def test_fewer_frames_and_slices_have_fewer_vision_tokens(backend: LocalBackend, clip: Path) -> None:
    video = Message.of("user", Video(clip), "What happens?")
    all_frames, one = (
        ask(backend, SamplingParams(max_new_tokens=1, max_frames=most), video)[1].vision_tokens for most in (64, 1)
    )
    assert all_frames == 3 * one
    image = Message.of("user", Image(LARGE), "What is this?")
    sliced, whole = (
        ask(backend, SamplingParams(max_new_tokens=1, max_slice_nums=most), image)[1].vision_tokens for most in (9, 1)
    )
    assert sliced > 2 * whole


def test_a_seed_repeats_an_answer_and_another_does_not(backend: LocalBackend) -> None:
    question = Message.of("user", Image(SMALL), "What is this?")
    first, again, other = (
        ask(backend, SamplingParams(max_new_tokens=24, seed=seed, temperature=2.0, top_p=1.0, top_k=0), question)[0]
        for seed in (7, 7, 8)
    )
    assert first == again != other


@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_can_be_closed_and_the_next_is_whole(backend: LocalBackend, beams: int) -> None:
    question = Message.of("user", Image(SMALL), "What is this?")
    whole = ask(backend, GREEDY, question)[0]
    long = SamplingParams(do_sample=False, num_beams=beams, max_new_tokens=4000, repetition_penalty=1.0)
    stream = backend.stream([question], long)
    for chunk in stream:
        if chunk.text or (chunk.progress and chunk.progress.stage == "search"):
            break
    started = time.monotonic()
    stream.close()
    assert ask(backend, GREEDY, question)[0] == whole
    assert time.monotonic() - started < 30  # 4,000 tokens take minutes


def test_progress_tells_what_is_done_before_the_first_token(backend: LocalBackend, clip: Path) -> None:
    chunks = list(backend.stream([Message.of("user", Video(clip), Image(LARGE), "What?")], GREEDY))
    stages = {chunk.progress.stage for chunk in chunks if chunk.progress}
    assert stages & {"encode_images", "prefill", "decode_video"}


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "<image>", "<|image_pad|>", "<|video_pad|>", "</think>", "a <think> b</slice><image_id>0"]
)
def test_markup_typed_by_a_user_is_text(backend: LocalBackend, library: tuple[Any, Any], text: str) -> None:
    tokenizer = library[1].tokenizer
    _, usage = ask(backend, SamplingParams(max_new_tokens=1), Message.of("user", text, Image(SMALL)))
    _, bare = ask(backend, SamplingParams(max_new_tokens=1), Message.of("user", Image(SMALL)))
    assert usage.vision_tokens == bare.vision_tokens
    # Every piece of the markup is spelled out in ordinary tokens.
    assert usage.prompt_tokens - bare.prompt_tokens > len(tokenizer(text).input_ids)


def test_thinking_is_no_part_of_the_answer_and_is_off_unless_asked(backend: LocalBackend, library: Any) -> None:
    question = Message.of("user", "What is this?")
    chunks = list(backend.stream([question], SamplingParams(max_new_tokens=12, seed=1, enable_thinking=True)))
    assert "".join(chunk.thinking for chunk in chunks)
    assert not any(chunk.text for chunk in chunks)  # the tiny model never ends its thinking
    plain = list(backend.stream([question], SamplingParams(max_new_tokens=12, seed=1)))
    assert any(chunk.text for chunk in plain) and not any(chunk.thinking for chunk in plain)


def test_too_long_a_turn_says_how_long_it_is(backend: LocalBackend) -> None:
    with pytest.raises(ContextLengthError):
        ask(backend, GREEDY, Message.of("user", "word " * 9000))


def test_capabilities_declare_what_only_these_models_have(folder: Path, name: str) -> None:
    capabilities = LocalBackend(settings(folder)).capabilities
    assert capabilities.model == f"MiniCPM-V {name}"
    assert capabilities.hidden_options == frozenset()
    assert capabilities.context == 8192
    assert capabilities.video and capabilities.max_images is None


def test_the_auto_classes_are_left_as_they_are(folder: Path, name: str) -> None:
    assert type(AutoModel.from_pretrained(folder)).__name__ == f"MiniCPMV{name.replace('.', '_')}Model"
    assert type(load_model(settings(folder), lambda *_: None).model) is CLASSES[name][1]


def test_a_missing_weight_is_an_error_and_unused_ones_are_not(tmp_path: Path, name: str) -> None:
    folder = build(tmp_path, name)
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"mtp.layers.0.weight": torch.zeros(2)}, folder / "model.safetensors", {"format": "pt"})
    load_model(settings(folder), lambda *_: None)
    lost = next(key for key in weights if "merger" in key)
    save_file(
        {key: value for key, value in weights.items() if key != lost}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(CheckpointError, match="1 missing"):
        load_model(settings(folder), lambda *_: None)


def test_token_ids_that_contradict_the_tokenizer_are_named(tmp_path: Path, name: str) -> None:
    folder = build(tmp_path, name)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"video_token_id": 3}))
    with pytest.raises(CheckpointError, match="video_token_id = 3"):
        load_model(settings(folder), lambda *_: None)


@pytest.mark.parametrize("dtype", ["bf16", "int8", "int4"])
def test_dtypes(folder: Path, dtype: str) -> None:
    backend = LocalBackend(Settings(model=str(folder), port=1, device="cpu", dtype=dtype))
    backend.start()
    text, usage = ask(backend, GREEDY, Message.of("user", Image(SMALL), "What is this?"))
    backend.close()
    assert text and usage.new_tokens


def test_int4_leaves_the_vision_tower_whole(folder: Path) -> None:
    model = load_model(Settings(model=str(folder), port=1, device="cpu", dtype="int4"), lambda *_: None).model
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    kinds = {name: type(module).__name__ for name, module in linear}
    whole = [name for name, kind in kinds.items() if kind == "Linear"]
    gates = (".in_proj_a", ".in_proj_b")
    assert {name for name in kinds if ".language_model." not in name or name.endswith(gates)} == set(whole)
    assert {kind for name, kind in kinds.items() if name not in whole} == {"Linear4bit"}


def test_placeholder_ids_may_be_absent_from_the_config(tmp_path: Path, folder: Path, name: str) -> None:
    other = build(tmp_path, name)
    path = other / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_token_id": None, "video_token_id": None}))
    question = Message.of("user", Image(SMALL), "What is this?")
    answers = []
    for checkpoint in (folder, other):
        backend = LocalBackend(settings(checkpoint))
        backend.start()
        answers.append(ask(backend, GREEDY, question))
        backend.close()
    assert answers[0][0] == answers[1][0] and answers[0][1].vision_tokens > 0


def test_a_checkpoint_without_the_canvas_tokens_is_refused(tmp_path: Path) -> None:
    folder = build(tmp_path, "4.7")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"newline_id": None}))
    with pytest.raises(CheckpointError, match="newline_id"):
        load_model(settings(folder), lambda *_: None)


@pytest.mark.parametrize(("version", "model"), [(4.5, "MiniCPM-V 4.5"), ("4.0", "MiniCPM-V 4.0"), (4, "MiniCPM-V 4.0")])
def test_members_that_are_not_supported_yet_are_named(tmp_path: Path, version: Any, model: str) -> None:
    config = {"model_type": "minicpmv", "version": version, "query_num": 64}
    with pytest.raises(UnsupportedModelError, match=f"{model} is not supported yet; use an external engine"):
        find_member(all_families(), config)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match="not supported yet"):
        LocalBackend(settings(tmp_path))
