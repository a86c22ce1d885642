"""Prompts and pixels of the models in the library: sizes, places, and text that stays text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PILImage

from app.modeling.native_processing import Processor46, Processor47, plan
from app.modeling.runner import Frames, Turn
from tests.families.tiny_native import build

SIZES = ((448, 448), (449, 448), (30, 20), (1400, 200), (200, 1400), (1344, 1344), (900, 700), (14, 14), (4000, 3000))
CLASSES: dict[str, Any] = {"4.6": Processor46, "4.7": Processor47}


@pytest.fixture(scope="module", params=CLASSES)
def processor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = build(tmp_path_factory.mktemp("model"), request.param)
    return CLASSES[request.param].read(folder)


def picture(size: tuple[int, int]) -> PILImage.Image:
    return PILImage.linear_gradient("L").resize(size).convert("RGB")


def options(mode: str = "16x", **changes: Any) -> dict[str, Any]:
    common = {"enable_thinking": False, "use_image_id": True, "max_slice_nums": 9, "frame_slice_nums": 1}
    return common | {"downsample_mode": mode} | changes


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("most", [1, 4, 9])
def test_the_plan_of_a_size_is_what_the_image_processor_makes(
    processor: Any, size: tuple[int, int], mode: str, most: int
) -> None:
    made = processor.image_processor([picture(size)], max_slice_nums=most, downsample_mode=mode, return_tensors="pt")
    planned = plan(processor.image_processor, [picture(size)], max_slice_nums=most, downsample_mode=mode)
    assert torch.equal(planned["target_sizes"], made["target_sizes"])
    assert [list(grid) for grid in planned["grids"]] == [list(grid) for grid in made["grids"]]
    assert planned["num_patches_per_image"] == made["num_patches_per_image"]


def conversation() -> list[Turn]:
    frames = Frames((picture((640, 360)),) * 3)
    return [
        Turn("user", ("First", picture((900, 700)), "then", picture((60, 40)))),
        Turn("assistant", ("Seen.",)),
        Turn("user", (frames, "and this?", Frames((picture((64, 64)),)))),
    ]


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize("numbered", [True, False])
def test_placeholders_equal_features_and_the_count_equals_the_length(processor: Any, mode: str, numbered: bool) -> None:
    chosen = options(mode, use_image_id=numbered)
    inputs = processor.chat_inputs(conversation(), **chosen)
    divisor = 4 if mode == "4x" else 16
    for kind, suffix in ((1, ""), (2, "_videos")):
        sizes = inputs[f"target_sizes{suffix}"]
        assert int((inputs["mm_token_type_ids"] == kind).sum()) == int((sizes.prod(-1) // divisor).sum())
        assert inputs[f"pixel_values{suffix}"].shape == (1, 3, 14, int(sizes.prod(-1).sum()) * 14)
    ids, data = processor.lay_out(conversation(), **chosen)
    assert inputs["input_ids"][0].tolist() == ids
    for suffix in ("", "_videos"):
        assert torch.equal(inputs[f"target_sizes{suffix}"], data[f"target_sizes{suffix}"])


def test_the_prompt_is_the_librarys(processor: Any) -> None:
    """The library's own call on the rendered template, its replacing and tokenising."""
    images = [picture((900, 700)), picture((60, 40))]
    turns = [Turn("user", ("First", images[0], "then", images[1]))]
    content = [
        {"type": "text", "text": "First"},
        {"type": "image"},
        {"type": "text", "text": "then"},
        {"type": "image"},
    ]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    wanted = processor(text=[prompt], images=images)
    inputs = processor.chat_inputs(turns, **options())
    assert torch.equal(inputs["input_ids"], wanted["input_ids"])
    assert torch.equal(inputs["pixel_values"], wanted["pixel_values"])


def test_frames_are_processed_as_images(processor: Any) -> None:
    frames = [picture((640, 360)), picture((640, 360)).transpose(PILImage.Transpose.FLIP_LEFT_RIGHT)]
    as_video = processor.chat_inputs([Turn("user", (Frames(tuple(frames)),))], **options(frame_slice_nums=9))
    as_images = processor.chat_inputs([Turn("user", tuple(frames))], **options())
    assert torch.equal(as_video["pixel_values_videos"], as_images["pixel_values"])
    assert torch.equal(as_video["target_sizes_videos"], as_images["target_sizes"])


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "<image>", "<|image_pad|> a", "<|video_pad|>", "x<think>y</think>", "<image_id>0</image_id>"]
)
def test_typed_markup_gives_none_of_its_tokens(processor: Any, text: str) -> None:
    chosen = options(use_image_id=False)
    empty, typed = (
        processor.chat_inputs([Turn("user", (picture((60, 40)), part))], **chosen)["input_ids"][0].tolist()
        for part in ("", text)
    )
    for token in processor.tokenizer.added_tokens_decoder:
        assert typed.count(token) == empty.count(token)
    assert processor.tokenizer.decode(typed).count(text) == 1 + processor.tokenizer.decode(empty).count(text)


def test_thinking_is_opened_or_closed_by_the_template(processor: Any) -> None:
    turns = [Turn("user", ("Why?",))]
    asked, not_asked = (processor.render(turns, "", enable_thinking=thinking) for thinking in (True, False))
    assert asked.endswith("<think>\n") and not_asked.endswith("</think>\n\n")
