"""What is shown of a prompt is what the engine computed with, for every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from app.engine.inspect import inspect
from app.engine.loader import LoadedModel
from app.engine.plain import PlainEngine
from app.families import all_families
from app.messages import Image, Message, Video
from app.modeling.runner import Prompt
from app.sampling import SamplingParams
from app.seen import Seen, cuts
from tests.engine.conftest import loaded_model
from tests.engine.test_plain import messages_of, plain_cases, usage_of, wait
from tests.families.tiny_native import build
from tests.modeling.golden import MODELS, Case
from tests.modeling.legacy import LEGACY, LegacyCase, legacy_cases


def native(name: str, folder: Path) -> LoadedModel:
    """A tiny checkpoint of a model that the library knows."""
    family: Any = next(family for family in all_families() if family.name.endswith(name))
    model, processor = family.runner.load(build(folder, name), family.model_class, dtype=torch.float32)
    return LoadedModel(model, processor, family, torch.device("cpu"), (), 8192)


# One has no ids to compare with: the official code raises on it.
WITH_IDS = [case for case in plain_cases() if (case.folder / "expected.safetensors").exists()]


@pytest.mark.parametrize("case", WITH_IDS, ids=str)
def test_golden_conversations_show_the_official_ids_bounds_and_sizes(case: Case) -> None:
    seen, expected = inspect(loaded_model(case.model), messages_of(case), SamplingParams()), case.expected
    assert [list(seen.ids)] == case.tensors["input_ids"].tolist()
    assert [list(span) for span in seen.image_bound] == expected["image_bound"][0]
    assert [list(size) for size in seen.tgt_sizes] == [part["tgt_size_hw_patches"] for part in expected["slices"]]
    assert "".join(piece.text for piece in seen.pieces) == expected["expanded_prompt"][0].replace("<unk>", "")


@pytest.mark.parametrize("case", legacy_cases(), ids=str)
def test_golden_conversations_about_one_image_do_too(case: LegacyCase) -> None:
    messages = [
        Message.of(turn["role"], *(Image(p) if isinstance(p, PILImage.Image) else p for p in turn["content"]))
        for turn in case.conversation()
    ]
    seen = inspect(loaded_model(case.model), messages, SamplingParams(max_new_tokens=64))
    assert list(seen.ids) == case.expected["input_ids"]
    assert [list(span) for span in seen.image_bound] == case.expected["image_bound"]
    text = "".join(piece.text for piece in seen.pieces if piece.kind != "special")
    assert all(part in text for turn in case.conversation() for part in turn["content"][-1].split("<image>"))


def moving(path: Path) -> Path:
    """Three seconds in which every frame is another."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(6):
            picture = np.full((96, 128, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


class Spy:
    """What an engine computes with while it answers."""

    def __init__(self, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prompts: list[Prompt] = []
        self.patches: list[int] = []  # of each slice that is encoded
        embed = loaded.runner.embed

        def embedded(prompt: Prompt, *args: Any) -> Any:
            self.prompts.append(prompt)
            return embed(prompt, *args)

        monkeypatch.setattr(loaded.runner, "embed", embedded)
        if hasattr(loaded.model, "encode_conversations"):
            self._watch(monkeypatch, loaded.model, "encode_conversations", lambda pixels, sizes, *_: sizes[0])
        else:
            self._watch(monkeypatch, loaded.model, "get_image_features", lambda pixels, sizes: sizes.tolist())

    def _watch(self, monkeypatch: pytest.MonkeyPatch, model: Any, name: str, sizes_of: Any) -> None:
        original = getattr(model, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.patches.extend(tuple(size) for size in sizes_of(*args))
            return original(*args, **kwargs)

        monkeypatch.setattr(model, name, watched)


def answer(loaded: LoadedModel, messages: list[Message], params: SamplingParams) -> Any:
    engine = PlainEngine(loaded, cache_bytes=0)
    try:
        return usage_of(wait(engine.submit(messages, params)))
    finally:
        engine.close()


def agrees(seen: Seen, spy: Spy, usage: Any) -> None:
    (prompt,) = spy.prompts
    assert list(seen.ids) == list(prompt.ids)
    assert seen.image_bound == sorted(span for one in prompt.placed for span in one.spans)
    assert sorted(seen.tgt_sizes) == sorted(spy.patches)
    assert len(seen.ids) == usage.prompt_tokens == sum(piece.tokens for piece in seen.pieces)
    assert seen.vision_tokens == usage.vision_tokens
    for picture in seen.pictures:
        assert len(picture.slices) == 1 + (picture.grid[0] * picture.grid[1] if picture.grid else 0)


@pytest.mark.parametrize("name", [*MODELS, *LEGACY, "4.6", "4.7"])
def test_it_is_what_the_engine_got(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = native(name, tmp_path) if name.startswith("4") else loaded_model(name)
    spy = Spy(loaded, monkeypatch)
    wide = PILImage.effect_noise((900, 420), 40).convert("RGB")
    messages = [Message.of("user", Image(wide), "What is it?")]
    if loaded.family.video:
        messages = [
            Message.of("user", Image(wide), "First."),
            Message.of("assistant", "Noise."),
            Message.of("user", "Now", Video(moving(tmp_path / "clip.mp4")), Image(wide.resize((40, 90))), "?"),
        ]
    params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=2, max_slice_nums=4)
    seen = inspect(loaded, messages, params)
    agrees(seen, spy, answer(loaded, messages, params))
    kinds = [(picture.kind, picture.message, picture.clip, picture.number) for picture in seen.pictures]
    if loaded.family.video:
        frames = [("frame", 2, 1, number) for number in (1, 2, 3)]
        assert kinds == [("image", 0, 0, 1), *frames, ("image", 2, 0, 2)]
        assert [picture.time for picture in seen.pictures if picture.kind == "frame"] == pytest.approx([0, 1, 2])
    else:
        assert kinds == [("image", 0, 0, 1)]


def test_turns_that_did_not_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loaded_model("minicpm-v-2_6")
    messages = [Message.of("user", "word " * 300), Message.of("assistant", "Yes."), Message.of("user", "And now?")]
    params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=2)
    object.__setattr__(loaded, "context", 200)
    spy = Spy(loaded, monkeypatch)
    seen = inspect(loaded, messages, params)
    assert seen.dropped == 2
    agrees(seen, spy, answer(loaded, messages, params))


def test_runs_make_up_the_prompt() -> None:
    assert cuts([9, 1, 2, 0, 0, 9, 9, 3], [(3, 5)], frozenset({9})) == [(0, 1), (1, 3), (3, 5), (5, 6), (6, 7), (7, 8)]
    assert cuts([0, 0, 0, 0], [(0, 2), (2, 4)], frozenset()) == [(0, 2), (2, 4)]
    assert cuts([], [], frozenset()) == []
