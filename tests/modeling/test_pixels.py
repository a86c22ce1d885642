"""Bytes on their way to the tower become the numbers of the official processors, bit for bit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PILImage

from app.modeling.native_processing import Processor46, Processor47, bytes_of, numbers_of
from app.modeling.pixels import to_device, to_numbers
from app.modeling.runner import Turn
from app.sampling import SamplingParams
from tests.engine.conftest import loaded_model
from tests.families.tiny_native import build
from tests.modeling.golden import MODELS, cases, load
from tests.modeling.legacy import LEGACY

GOLDEN = [case for case in cases() if case.expected.get("slices") and not case.spec["chat_kwargs"]]


def sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("case", GOLDEN, ids=str)
def test_golden_pixels_from_bytes(case: Any) -> None:
    _, _, processor = load(case.model)
    conversations = case.msgs() if case.spec["batched"] else [case.msgs()]
    pictures = [case.image(case.spec["image_arg"])] if case.spec["image_arg"] else []
    contents = (turn["content"] for turns in conversations for turn in turns)
    pictures += [part for content in contents for part in content if not isinstance(part, str)]
    plans = [processor.image_processor.plan(picture.size) for picture in pictures]
    pieces = processor.bytes_of(pictures, plans)
    assert {piece.dtype for piece in pieces} == {torch.uint8}
    numbers = processor.image_processor.numbers
    got = [sha256(to_numbers(piece[None], numbers)[0]) for piece in pieces]
    assert got == [row["sha256_float32"] for row in case.expected["slices"]]


@pytest.mark.parametrize("name", [*MODELS, *LEGACY])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_byte_of_every_family_means_what_its_processor_says(name: str, dtype: torch.dtype) -> None:
    processor = load(name)[2].image_processor if name in MODELS else loaded_model(name).processor.image_processor
    picture = PILImage.effect_noise((448, 448), 90).convert("RGB")
    plan = processor.plan(picture.size)
    wanted = torch.stack(processor.slices_of(picture, plan)).to(dtype)
    made = to_device(processor.bytes_of(picture, plan), torch.empty(0, dtype=dtype), processor.numbers)
    assert made.dtype == dtype and torch.equal(made, wanted)


@pytest.mark.parametrize("kind", [Processor46, Processor47])
def test_pixels_of_the_librarys_models_from_bytes(kind: Any, tmp_path: Path) -> None:
    processor = kind.read(build(tmp_path, "4.6" if kind is Processor46 else "4.7")).image_processor
    pictures = [PILImage.effect_noise(size, 90).convert("RGB") for size in ((900, 700), (60, 40))]
    options = {"max_slice_nums": 4, "downsample_mode": "16x"}
    wanted = processor(pictures, **options, return_tensors="pt")
    made = bytes_of(processor, pictures, options)
    assert made["pixel_values"].dtype == torch.uint8
    assert torch.equal(to_numbers(made["pixel_values"], numbers_of(processor)), wanted["pixel_values"])
    assert torch.equal(made["target_sizes"], wanted["target_sizes"])


@pytest.mark.parametrize("name", [*MODELS, *LEGACY])
def test_the_engine_hands_bytes_to_the_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loaded_model(name)
    seen: list[torch.dtype] = []
    encode = loaded.model.encode_conversations

    def watched(pixels: Any, *arguments: Any) -> Any:
        seen.extend(piece.dtype for conversation in pixels for piece in conversation)
        return encode(pixels, *arguments)

    monkeypatch.setattr(loaded.model, "encode_conversations", watched)
    turns = [Turn("user", (PILImage.effect_noise((300, 200), 60).convert("RGB"), "What?"), (9,))]
    with torch.inference_mode():
        prompt = loaded.runner.prepare(turns, SamplingParams(), False)
        features = loaded.runner.encode(prompt.placed, prompt, lambda done, total: None)
        inputs = loaded.runner.model_inputs(turns, SamplingParams(), False)
        wanted = loaded.model.get_inputs_embeds(inputs["input_ids"], inputs["pixel_values"], inputs["tgt_sizes"])[1]
    assert set(seen[: len(seen) // 2]) == {torch.uint8} and set(seen[len(seen) // 2 :]) == {torch.float32}
    assert torch.equal(torch.cat(features), wanted[0])
