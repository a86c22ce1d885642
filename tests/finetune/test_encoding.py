from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from app.engine.conversation import MediaReader
from app.modeling.runner import Turn, has_video
from app.sampling import SamplingParams
from finetune.encoding import Encoder, Example
from finetune.media import Outline, picture_size
from finetune.samples import Sample, SampleError, read_samples
from finetune.writing import IGNORED
from tests.checkpoints import CHECKPOINTS
from tests.families.tiny_native import NAMES, build
from tests.finetune.conftest import MUST, Tiny, talk, tiny
from tests.media.clips import write_clip
from tests.modeling.golden import ROOT

Write = Callable[..., Path]
Draw = Callable[..., str]
ANSWERS = ("A red circle on <b>white</b>.", "Two, I think!")


def golden(name: str) -> list[tuple[str, str]]:
    """Model and case of each golden conversation that is one conversation."""
    folders = sorted((ROOT / name / "cases").iterdir())
    return [(name, at.name) for at in folders if not json.loads((at / "messages.json").read_text()).get("batched")]


def golden_entry(model: str, case: str) -> dict[str, Any]:
    """The conversation as an entry, its last question answered."""
    spec = json.loads((ROOT / model / "cases" / case / "messages.json").read_text("utf-8"))
    turns = [*spec["messages"], {"role": "assistant", "content": ANSWERS[0]}]
    if system := spec["chat_kwargs"].get("system_prompt"):
        turns.insert(0, {"role": "system", "content": system})
    return {"messages": turns, "images": [spec["image_arg"]] if spec.get("image_arg") else []}


def golden_sample(tmp_path: Path, model: str, case: str) -> Sample:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([golden_entry(model, case)]))
    (sample,) = read_samples(path, ROOT / model / "cases" / case)
    assert sample.fault is None
    return sample


def decoded(sample: Sample, family: Any, **params: Any) -> list[Turn]:
    """The messages as the engine reads them."""
    params = SamplingParams(**params)
    reader = MediaReader(
        params.max_slice_nums, params.max_frames, family.frame_slices, "pyav", lambda *_: None, lambda: False
    )
    return reader.read(sample.messages)


def answers_of(sample: Sample) -> list[int]:
    return [at for at, message in enumerate(sample.messages) if message.role == "assistant" and at >= sample.learn_from]


def starts_of(example: Example) -> list[int]:
    """Where runs of labels begin."""
    on = (example.labels != IGNORED).tolist()
    return [at for at in range(1, len(on)) if on[at] and not on[at - 1]]


def learned(example: Example, tokenizer: Any) -> str:
    return tokenizer.decode(example.labels[example.labels != IGNORED].tolist())


def assert_is_inference(sample: Sample, encoder: Encoder, runner: Any, **params: Any) -> None:
    """Up to every answer there are the ids of inference, and before the last one its slices too."""
    family = runner.family
    example = encoder.encode(sample)
    answers = answers_of(sample)
    assert len(starts_of(example)) == len(answers) > 0
    for answer, start in zip(answers, starts_of(example), strict=True):
        turns = decoded(Sample("", 1, sample.messages[:answer]), family, **params)
        inputs = runner.model_inputs(turns, SamplingParams(**params), has_video(turns))
        assert example.input_ids[:start].tolist() == inputs["input_ids"][0].tolist()
    if answers[-1] != answer or "image_bound" not in inputs:
        return
    assert torch.equal(example.image_bound, inputs["image_bound"][0])
    assert torch.equal(example.tgt_sizes, inputs["tgt_sizes"][0])
    pixels = inputs["pixel_values"][0]
    assert len(example.pixel_values) == len(pixels)
    assert all(torch.equal(one, other) for one, other in zip(example.pixel_values, pixels, strict=True))


@pytest.mark.parametrize(("model", "case"), [case for name in CHECKPOINTS for case in golden(name)])
def test_golden_conversations_have_the_ids_and_slices_of_inference(tmp_path: Path, model: str, case: str) -> None:
    member = tiny(model)
    sample = golden_sample(tmp_path, model, case)
    for piece in member.encoder().split(sample):
        assert_is_inference(piece, member.encoder(), member.runner)


UNLIKE = {"pub_no_slice_no_id", "pub_video_12frames", "pub_max_slice_4"}  # asked for by arguments of their own
OFFICIAL = [
    (model, case)
    for name in CHECKPOINTS
    for model, case in golden(name)
    if case not in UNLIKE and "input_ids" in json.loads((ROOT / model / "cases" / case / "expected.json").read_text())
]


@pytest.mark.parametrize(("model", "case"), OFFICIAL)
def test_golden_conversations_have_the_ids_of_the_official_code(tmp_path: Path, model: str, case: str) -> None:
    ids = json.loads((ROOT / model / "cases" / case / "expected.json").read_text())["input_ids"]
    ids = ids[0] if isinstance(ids[0], list) else ids
    example = tiny(model).encoder().encode(golden_sample(tmp_path, model, case))
    assert starts_of(example)[-1] == len(ids)
    assert example.input_ids[: len(ids)].tolist() == ids


def test_enough_golden_conversations_are_compared() -> None:
    assert {model for model, _ in OFFICIAL} >= set(MUST)
    assert len(OFFICIAL) >= 40


def test_the_official_form_is_the_same_conversation(member: Tiny, write_data: Write, draw: Draw) -> None:
    turns = [
        {"role": "user", "content": [{"type": "image", "path": draw()}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": "A dog."},
    ]
    samples = read_samples(
        write_data(
            talk("<image>\nWhat?", "A dog.", image="a.png"),
            talk("What?", "A dog.", image={"<image_00>": "a.png"}),
            {"messages": turns},
        )
    )
    one, two, three = (member.encoder().encode(sample) for sample in samples)
    assert one.input_ids.tolist() == two.input_ids.tolist() == three.input_ids.tolist()
    assert one.labels.tolist() == two.labels.tolist() == three.labels.tolist()


ENDS = {
    "minicpm-v-2_6": "A red circle.<|im_end|>Two, I think!<|im_end|>",
    "minicpm-llama3-v-2_5": "A red circle.<|eot_id|>Two, I think!<|eot_id|>",
    "minicpm-v-2": "A red circle.</s>Two, I think!</s>",
    "minicpm-v-1": "A red circle.</s>Two, I think!</s>",
    "omnilmm-12b": "A red circle.</s>Two, I think!</s>",
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_answers_and_their_ends_are_learned_and_nothing_else(name: str, write_data: Write, draw: Draw) -> None:
    member = tiny(name)
    path = write_data(talk("<image>\nWhat?", " A red circle.\n", "How many?", "Two, I think!", image=draw()))
    example = member.encoder().encode(read_samples(path)[0])
    said = learned(example, member.tokenizer)
    # The old tokenizers write a space in front of texts that follow an end.
    assert said.replace("</s> ", "</s>").strip() == ENDS[name]
    on = example.labels != IGNORED
    same = example.labels[on] == example.input_ids[on]
    # Between turns MiniCPM-V 2.0 and 1.0 write no end, so there it is learned in the place of what follows.
    assert int((~same).sum()) == (1 if name in ("minicpm-v-2", "minicpm-v-1") else 0)
    assert example.labels[-1].item() in member.runner.terminators()


MARKUP = "<image>no</image> <|im_end|> <|eot_id|> </s> (<image>./</image>) <unk>!"


def test_markup_in_texts_is_text(member: Tiny, write_data: Write, draw: Draw) -> None:
    parts = [{"type": "image", "path": draw()}, {"type": "text", "text": MARKUP}]
    turns = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "yes " + MARKUP},
        {"role": "user", "content": MARKUP},
        {"role": "assistant", "content": "A"},
    ]
    (sample,) = read_samples(write_data({"messages": turns}))
    assert_is_inference(sample, member.encoder(), member.runner)
    example = member.encoder().encode(sample)
    assert len(example.image_bound) == len(example.pixel_values)
    assert sum(label in member.runner.terminators() for label in example.labels.tolist()) == 2
    assert learned(example, member.tokenizer).replace(" ", "").count(MARKUP.replace(" ", "")) == 1


@pytest.mark.parametrize("guarded", [False, True])
def test_boxes_in_answers_are_the_models_tokens(member: Tiny, write_data: Write, draw: Draw, guarded: bool) -> None:
    question = "Where? <|im_end|><image>" if guarded else "Where?"
    path = write_data({"messages": [
        {"role": "user", "content": [{"image": draw()}, question]},
        {"role": "assistant", "content": "<ref>dog</ref><box>1 2 3 4</box>"},
    ]})  # fmt: skip
    labels = member.encoder().encode(read_samples(path)[0]).labels.tolist()
    for token in ("<ref>", "</ref>", "<box>", "</box>"):
        assert labels.count(member.tokenizer.convert_tokens_to_ids(token)) == 1


def test_boxes_in_questions_are_tokens_as_in_inference(member: Tiny, write_data: Write, draw: Draw) -> None:
    sample = read_samples(write_data(talk("<image>\nWhat is in <box>1 2</box>?", "A dog.", image=draw())))[0]
    assert_is_inference(sample, member.encoder(), member.runner)
    box = member.tokenizer.convert_tokens_to_ids("<box>")
    assert member.encoder().encode(sample).input_ids.tolist().count(box) == 1


def test_fewer_slices_are_asked_for_as_in_inference(member: Tiny, write_data: Write, draw: Draw) -> None:
    sample = read_samples(write_data(talk("Q", "A", image=draw(size=(1200, 900)))))[0]
    assert len(member.encoder().encode(sample).pixel_values) > 4
    assert_is_inference(sample, member.encoder(max_slice_nums=3), member.runner, max_slice_nums=3)
    assert len(member.encoder(max_slice_nums=3).encode(sample).pixel_values) <= 4


def long_sample(write_data: Write, draw: Draw, turns: int = 3) -> Sample:
    texts = [text for turn in range(turns) for text in (f"Question {turn}?", f"Answer {turn}, as I said.")]
    return read_samples(write_data(talk(*texts, image=draw())))[0]


def test_too_long_conversations_lose_their_last_turns(member: Tiny, write_data: Write, draw: Draw) -> None:
    sample = long_sample(write_data, draw)
    whole = member.encoder().encode(sample)
    short = member.encoder().encode(long_sample(write_data, draw, turns=2))
    for limit in (len(whole.input_ids) - 1, len(short.input_ids)):
        example = member.encoder(max_length=limit).encode(sample)
        assert example.dropped == 2
        assert example.input_ids.tolist() == short.input_ids.tolist()
        assert example.labels.tolist() == short.labels.tolist()
        assert member.encoder(max_length=limit).measure(sample).messages == 4
    assert whole.dropped == 0
    assert learned(example, member.tokenizer).count("Answer") == 2


def test_a_first_answer_that_does_not_fit_is_an_error(member: Tiny, write_data: Write, draw: Draw) -> None:
    sample = long_sample(write_data, draw)
    once = len(member.encoder().encode(long_sample(write_data, draw, turns=1)).input_ids)
    member.encoder(max_length=once).encode(sample)
    with pytest.raises(SampleError, match=f"line 2: .* {once} tokens; {once - 1} fit") as raised:
        member.encoder(max_length=once - 1).encode(sample)
    assert raised.value.kind == "length"


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_headers_alone_tell_the_length(name: str, write_data: Write, draw: Draw) -> None:
    for size in ((90, 60), (1300, 700), (300, 2000)):
        sample = read_samples(write_data(talk("Q", "A longer answer.", "Q", "A", image=draw(size=size))))[0]
        example, fitted = tiny(name).encoder().encode(sample), tiny(name).encoder().measure(sample)
        assert fitted.tokens == len(example.input_ids)
        assert fitted.answers == int((example.labels != IGNORED).sum())


@pytest.mark.parametrize(("ending", "options"), [("png", {}), ("jpg", {}), ("webp", {}), ("gif", {}), ("bmp", {}),
                                                 ("tiff", {})])  # fmt: skip
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("verify", [True, False])
def test_sizes_in_headers_are_those_of_the_decoded_picture(
    tmp_path: Path, ending: str, options: dict[str, Any], orientation: int, verify: bool
) -> None:
    from app.media.images import read_image

    exif = PILImage.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    PILImage.new("RGB", (7200 if ending == "png" else 70, 40), "red").save(path, exif=exif)
    decoded_size = read_image(path).size
    assert picture_size(path, verify) == decoded_size
    assert picture_size(path.read_bytes(), verify) == decoded_size


def test_an_outline_has_a_size_and_no_memory() -> None:
    outline = Outline((100_000, 90_000))
    assert (outline.size, outline.width, outline.height) == ((100_000, 90_000), 100_000, 90_000)


@pytest.mark.parametrize("name", ["minicpm-v-2_6", "minicpm-llama3-v-2_5"])
@pytest.mark.parametrize("frames", [4, 24])
def test_videos_are_those_of_inference(write_data: Write, draw: Draw, tmp_path: Path, name: str, frames: int) -> None:
    member = tiny(name)
    write_clip(tmp_path / "c.mp4", frames=26, fps=1, size=(640, 480))
    entry = talk("<image>\n<video>\nQ", "A", "And?", "B", image=draw(), video={"video": "c.mp4", "max_frames": frames})
    sample = read_samples(write_data(entry))[0]
    assert_is_inference(sample, member.encoder(), member.runner)
    example = member.encoder().encode(sample)
    assert len(example.pixel_values) == 1 + frames * (3 if frames <= 16 else 1)
    assert member.encoder().measure(sample).tokens == len(example.input_ids)


def test_an_animated_gif_can_be_a_video(write_data: Write, tmp_path: Path) -> None:
    pictures = [PILImage.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    pictures[0].save(tmp_path / "c.gif", save_all=True, append_images=pictures[1:], duration=1000)
    sample = read_samples(write_data(talk("Q", "A", video="c.gif")))[0]
    encoder = tiny("minicpm-v-2_6").encoder()
    assert len(encoder.encode(sample).pixel_values) == 3
    assert encoder.measure(sample).tokens == len(encoder.encode(sample).input_ids)


def test_what_a_model_does_not_take_is_an_error_of_the_sample(write_data: Write, draw: Draw, tmp_path: Path) -> None:
    encoder = tiny("minicpm-v-2").encoder()
    two = talk("Q", "A", images=[draw(), draw("b.png")])
    system = {"messages": [{"role": "system", "content": "S"}, *talk("Q", "A")["conversations"]]}
    for entry, said in ((two, "2 images"), (system, "system prompt")):
        sample = read_samples(write_data(entry))[0]
        for ask in (encoder.encode, encoder.measure):
            with pytest.raises(SampleError, match=said) as raised:
                ask(sample)
            assert raised.value.kind == "model"


def test_a_broken_picture_is_counted_and_not_named(member: Tiny, write_data: Write, draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    entry = {"messages": [{"role": "user", "content": [{"image": draw()}, {"image": "secret.png"}, "Q"]},
                          {"role": "assistant", "content": "A"}]}  # fmt: skip
    for ask in (member.encoder().encode, member.encoder().measure):
        with pytest.raises(SampleError, match=r"line 2: Picture or video 2 of 2") as raised:
            ask(read_samples(write_data(entry))[0])
        assert raised.value.kind == "media"
        assert "secret" not in str(raised.value)


def test_one_example_is_enough_where_later_turns_change_nothing(write_data: Write, draw: Draw) -> None:
    entry = talk("<image_00>", "A", "<image_01>", "B", image={"<image_00>": draw(), "<image_01>": draw("b.png")})
    sample = read_samples(write_data(entry))[0]
    assert tiny("minicpm-v-2_6").encoder().split(sample) == [sample]
    assert tiny("minicpm-llama3-v-2_5").encoder().split(sample) == [sample]


def grown(write_data: Write, draw: Draw) -> Sample:
    """A conversation whose second picture has a longer slice than the first."""
    pictures = {"<image_00>": draw(size=(448, 448)), "<image_01>": draw("b.png", (500, 600))}
    return read_samples(write_data(talk("<image_00>\nQ", "A", "<image_01>\nQ", "B", "Q", "C", image=pictures)))[0]


def features_of(member: Tiny, example: Example) -> torch.Tensor:
    """Features of the first slice."""
    with torch.no_grad():
        sizes = [[tuple(size) for size in example.tgt_sizes.tolist()]]
        return member.model.encode_conversations([example.pixel_values], sizes)[0][0]


def test_25_learns_an_answer_with_the_features_it_has_in_inference(write_data: Write, draw: Draw) -> None:
    member = tiny("minicpm-llama3-v-2_5")
    sample = grown(write_data, draw)
    pieces = member.encoder().split(sample)
    assert [(len(piece.messages), piece.learn_from) for piece in pieces] == [(2, 0), (6, 2)]
    examples = [member.encoder().encode(piece) for piece in pieces]
    assert [learned(example, member.tokenizer) for example in examples] == ["A<|eot_id|>", "B<|eot_id|>C<|eot_id|>"]
    for piece in pieces:
        assert_is_inference(piece, member.encoder(), member.runner)
    alone, together = (features_of(member, example) for example in examples)
    assert not torch.allclose(alone, together, atol=1e-3)
    turns = decoded(Sample("", 1, sample.messages[:1]), member.family)
    prompt = member.runner.prepare(turns, SamplingParams(), False)
    with torch.no_grad():
        embeds, _ = member.runner.embed(prompt, lambda done, total: None)
    start, end = prompt.placed[0].spans[0]
    assert torch.equal(embeds[0, start:end], alone)


def test_a_video_that_comes_later_takes_the_numbers_away(write_data: Write, draw: Draw, tmp_path: Path) -> None:
    member = tiny("minicpm-v-2_6")
    write_clip(tmp_path / "c.mp4", frames=40)
    entry = talk("<image>\nQ", "A", "<video>\nQ", "B", image=draw(), video="c.mp4")
    pieces = member.encoder().split(read_samples(write_data(entry))[0])
    assert [(len(piece.messages), piece.learn_from) for piece in pieces] == [(2, 0), (4, 2)]
    for piece in pieces:
        assert_is_inference(piece, member.encoder(), member.runner)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Runners of the models in the library."""
    from app.engine.loader import runner_class
    from app.families import all_families

    runners = {}
    for name in NAMES:
        family = next(one for one in all_families() if one.name.endswith(name))
        folder = build(tmp_path_factory.mktemp(name), name)
        model, processor = runner_class(family).load(folder, family.model_class, dtype=torch.float32)
        runners[name] = runner_class(family)(model, processor, family)
    return runners


@pytest.mark.parametrize("name", NAMES)
def test_models_of_the_library_learn_one_answer_at_a_time(
    native: dict[str, Any], name: str, write_data: Write, draw: Draw, tmp_path: Path
) -> None:
    runner = native[name]
    write_clip(tmp_path / "c.mp4", frames=40)
    entry = talk("<image>\n<image>", "A <dog>", "<video>\nQ", "B <|im_end|>", images=[draw(size=(900, 600)), "a.png"],
                 video="c.mp4")  # fmt: skip
    sample = read_samples(write_data(entry))[0]
    encoder = Encoder(runner, runner.family, max_length=8192)
    pieces = encoder.split(sample)
    assert [(len(piece.messages), piece.learn_from) for piece in pieces] == [(2, 0), (4, 2)]
    for piece, said in zip(pieces, ("A <dog><|im_end|>", "B <|im_end|><|im_end|>"), strict=True):
        assert_is_inference(piece, encoder, runner)
        example = encoder.encode(piece)
        assert learned(example, runner.tokenizer) == said
        assert int((example.labels == runner.terminators()[0]).sum()) == 1
        assert encoder.measure(piece).tokens == len(example.input_ids)


def test_pixels_are_those_of_the_file(member: Tiny, write_data: Write, draw: Draw, tmp_path: Path) -> None:
    import base64

    url = "data:image/png;base64," + base64.b64encode((tmp_path / draw(seed=3)).read_bytes()).decode()
    samples = read_samples(write_data(talk("Q", "A", image="a.png"), talk("Q", "A", image=url)))
    one, other = (member.encoder().encode(sample) for sample in samples)
    assert np.array_equal(one.pixel_values[0], other.pixel_values[0])
    draw(seed=4)
    assert not np.array_equal(member.encoder().encode(samples[0]).pixel_values[0], one.pixel_values[0])
