"""Uses that the models' pages document, with nothing but the loading changed: a tiny checkpoint, no remote code."""

from __future__ import annotations

import base64
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor, AutoTokenizer

import app.modeling  # noqa: F401  (makes the models known to the Auto classes)
from app.media.video import read_frames
from chat import MiniCPMVChat, img2base64
from tests.checkpoints import CHECKPOINTS, family_of, folder

EXAMPLES = Path(__file__).parents[1] / "assets" / "examples"
SEVERAL_IMAGES = [model for model in CHECKPOINTS if family_of(model).max_images != 1]
SHORT: dict[str, Any] = {"max_new_tokens": 10}
LIKELIEST: dict[str, Any] = {"sampling": True, "top_k": 1, **SHORT}
ONE_TOKEN = LIKELIEST | {"max_new_tokens": 1}

by_model = pytest.mark.parametrize("model_name", CHECKPOINTS)
with_several_images = pytest.mark.parametrize("model_name", SEVERAL_IMAGES)


@cache
def load(model_name: str) -> tuple[Any, Any]:
    model = AutoModel.from_pretrained(folder(model_name), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder(model_name))
    return model.eval(), tokenizer


@cache
def picture(name: str) -> Image.Image:
    """A small copy: one slice is enough here."""
    return Image.open(EXAMPLES / name).convert("RGB").resize((160, 120))


def next_scores(model: Any, msgs: list[dict[str, Any]], **options: Any) -> torch.Tensor:
    """Logits of the answer's first token, by the processor and the model's parts instead of `chat`."""
    processor = AutoProcessor.from_pretrained(model.config._name_or_path)
    inputs = processor.apply_chat_template(msgs, tokenize=True, **options)
    with torch.inference_mode():
        embeds, _ = model.get_inputs_embeds(
            inputs["input_ids"], inputs["pixel_values"], inputs["tgt_sizes"], inputs["image_bound"]
        )
        return model.llm(inputs_embeds=embeds).logits[0, -1]


def likeliest(model: Any, tokenizer: Any, msgs: list[dict[str, Any]], **options: Any) -> str:
    """The likeliest answer of one token."""
    return model.decode_answers(next_scores(model, msgs, **options).argmax()[None, None], tokenizer)[0]


def as_pairs(turn: dict[str, Any]) -> dict[str, Any]:
    """A message of texts and pictures in the form of the chat class."""
    pairs = []
    for part in turn["content"]:
        file = io.BytesIO()
        if isinstance(part, str):
            pairs.append({"type": "text", "pairs": part})
            continue
        part.save(file, "PNG")
        pairs.append({"type": "image", "pairs": base64.b64encode(file.getvalue()).decode()})
    return {"role": turn["role"], "content": pairs}


# --- one image, the form that every member takes


@by_model
def test_one_image_beside_the_messages(model_name: str) -> None:
    model, tokenizer = load(model_name)

    def ask(seed: int) -> str:
        msgs = [{"role": "user", "content": "What is in the image?"}]
        torch.manual_seed(seed)
        answer = model.chat(
            image=picture("shapes.png"), msgs=msgs, tokenizer=tokenizer, sampling=True, temperature=0.7, **SHORT
        )
        return answer[0] if isinstance(answer, tuple) else answer

    answers = [ask(seed) for seed in range(8)]
    assert ask(0) == answers[0]
    assert len(set(answers)) > 1


@by_model
def test_the_chat_class_over_two_rounds(model_name: str) -> None:
    chat_model = MiniCPMVChat(folder(model_name), device="cpu", dtype="fp32")
    image = img2base64(EXAMPLES / "shot_1.png")
    msgs = [{"role": "user", "content": "Which shapes are there?"}]
    first = chat_model.chat({"image": image, "question": json.dumps(msgs), **LIKELIEST})

    msgs.append({"role": "assistant", "content": first})
    msgs.append({"role": "user", "content": "Of what colour?"})
    second = chat_model.chat({"image": image, "question": json.dumps(msgs), **LIKELIEST})

    model, tokenizer = load(model_name)
    file = Image.open(EXAMPLES / "shot_1.png").convert("RGB")
    expected = model.chat(image=file, msgs=msgs, tokenizer=tokenizer, **LIKELIEST)
    assert second == (expected[0] if isinstance(expected, tuple) else expected)


# --- the form with images among the parts


@with_several_images
def test_image_and_question_in_one_content(model_name: str) -> None:
    model, tokenizer = load(model_name)
    image, question = picture("shapes.png"), "What is in the image?"
    msgs = [{"role": "user", "content": [image, question]}]

    answer = model.chat(image=None, msgs=msgs, tokenizer=tokenizer, **LIKELIEST)

    beside = [{"role": "user", "content": question}]
    assert answer == model.chat(image=image, msgs=beside, tokenizer=tokenizer, **LIKELIEST)


@with_several_images
def test_sampling_with_streaming(model_name: str) -> None:
    model, tokenizer = load(model_name)
    msgs = [{"role": "user", "content": [picture("shapes.png"), "What is in the image?"]}]

    torch.manual_seed(3)
    pieces = model.chat(image=None, msgs=msgs, tokenizer=tokenizer, sampling=True, stream=True, **SHORT)
    generated_text = ""
    for new_text in pieces:
        generated_text += new_text

    torch.manual_seed(3)
    answer = model.chat(image=None, msgs=msgs, tokenizer=tokenizer, sampling=True, **SHORT)
    assert generated_text.strip() == answer
    assert answer


@with_several_images
def test_several_rounds(model_name: str) -> None:
    model, tokenizer = load(model_name)
    msgs: list[dict[str, Any]] = [{"role": "user", "content": [picture("shapes.png"), "What is in the image?"]}]
    answer = model.chat(image=None, msgs=msgs, tokenizer=tokenizer, **LIKELIEST)

    msgs.append({"role": "assistant", "content": [answer]})
    msgs.append({"role": "user", "content": ["Which row is the longest?"]})
    second = model.chat(image=None, msgs=msgs, tokenizer=tokenizer, **ONE_TOKEN)

    assert second == likeliest(model, tokenizer, msgs)
    assert not torch.equal(next_scores(model, msgs), next_scores(model, msgs[2:]))
    altered = [msgs[0], {"role": "assistant", "content": ["Something else."]}, msgs[2]]
    assert not torch.equal(next_scores(model, msgs), next_scores(model, altered))


@with_several_images
def test_several_images(model_name: str) -> None:
    model, tokenizer = load(model_name)
    before, after = picture("pair_1.png"), picture("pair_2.png")
    question = "Compare image 1 and image 2, tell me about the differences between image 1 and image 2."

    def msgs(*images: Image.Image) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [*images, question]}]

    answer = model.chat(image=None, msgs=msgs(before, after), tokenizer=tokenizer, **ONE_TOKEN)

    assert answer == likeliest(model, tokenizer, msgs(before, after))
    scores = next_scores(model, msgs(before, after))
    assert not torch.equal(scores, next_scores(model, msgs(after, before)))
    assert not torch.equal(scores, next_scores(model, msgs(before, before)))


@with_several_images
def test_few_shot_examples(model_name: str) -> None:
    model, tokenizer = load(model_name)
    question = "How many shapes?"
    one, two, three = (picture(f"shot_{number}.png") for number in (1, 2, 3))

    def msgs(first: str, second: str) -> list[dict[str, Any]]:
        return [
            {"role": "user", "content": [one, question]},
            {"role": "assistant", "content": [first]},
            {"role": "user", "content": [two, question]},
            {"role": "assistant", "content": [second]},
            {"role": "user", "content": [three, question]},
        ]

    answer = model.chat(image=None, msgs=msgs("3", "5"), tokenizer=tokenizer, **LIKELIEST)

    encoded = [as_pairs(turn) for turn in msgs("3", "5")]
    chat_model = MiniCPMVChat(folder(model_name), device="cpu", dtype="fp32")
    assert chat_model.chat({"question": json.dumps(encoded), **LIKELIEST}) == answer
    assert not torch.equal(next_scores(model, msgs("3", "5")), next_scores(model, msgs("5", "3")))


@with_several_images
@pytest.mark.filterwarnings("ignore:.*not an argument of this model's chat")
def test_a_video_as_frames(model_name: str) -> None:
    model, tokenizer = load(model_name)
    frames = [frame.resize((96, 64)) for frame in read_frames(EXAMPLES / "ball.mp4", max_frames=3).frames]
    msgs = [{"role": "user", "content": [*frames, "Describe the video"]}]
    params = {"use_image_id": False, "max_slice_nums": 2}

    answer = model.chat(image=None, msgs=msgs, tokenizer=tokenizer, **params, **ONE_TOKEN)

    assert len(frames) > 1
    assert answer == likeliest(model, tokenizer, msgs, **params)
    still = [{"role": "user", "content": [*[frames[0]] * len(frames), "Describe the video"]}]
    assert not torch.equal(next_scores(model, msgs), next_scores(model, still))
