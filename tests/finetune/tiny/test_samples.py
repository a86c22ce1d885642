"""What is trained is what the application asks: the same ids, the same slices."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import AutoProcessor

import app.modeling  # noqa: F401  registers the family
from finetune.tiny import embedded, tokens
from finetune.tiny.canvas import Canvas
from finetune.tiny.dense import LABELS
from finetune.tiny.embedded import MOST_CELLS
from finetune.tiny.packed import Supplies, canvas_for
from finetune.tiny.samples import Exchange, Sample, TokenWriter, cut, whole
from finetune.tiny.scenes import several
from finetune.tiny.shape import QUERIES
from finetune.tiny.towers import to_slices


@pytest.fixture(scope="module")
def processor(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The processor that the application makes from the files of the checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint")
    embedded.write_files(tokenizer, folder)
    return AutoProcessor.from_pretrained(folder)


def drawn(supplies: Supplies, seed: int, grid: tuple[int, int] = (12, 12), scale: float = 1.0) -> Canvas:
    canvas = canvas_for(grid, Random(seed), supplies, scale)
    several(canvas, canvas.rng, supplies)
    return canvas


def assert_is_inference(
    sample: Sample,
    exchanges: Sequence[Exchange],
    images: Sequence[Sequence[Image.Image]],
    processor: Any,
    **options: Any,
) -> None:
    """Up to each answer there are the ids of inference, and up to the last one its pixels."""
    turns: list[dict[str, Any]] = []
    for exchange, pictures in zip(exchanges, images, strict=True):
        turns.append({"role": "user", "content": [*pictures, *([exchange.question] if exchange.question else [])]})
        inputs = processor.chat_inputs([turns], **options)
        prompt = inputs["input_ids"][0].tolist()
        assert sample.ids[: len(prompt)] == prompt
        end = len(processor.tokenizer(exchange.answer).input_ids) + 1
        answer = sample.ids[len(prompt) : len(prompt) + end]
        assert processor.tokenizer.decode(answer) == exchange.answer + "<|im_end|>"
        expected = answer if exchange.learn else [-100] * end
        assert sample.labels[len(prompt) : len(prompt) + end] == expected
        turns.append({"role": "assistant", "content": [exchange.answer]})
    assert sum(label != -100 for label in sample.labels) == sum(
        len(processor.tokenizer(exchange.answer).input_ids) + 1 for exchange in exchanges if exchange.learn
    )
    assert inputs["image_bound"][0].tolist() == [list(place) for place in sample.places]
    assert len(inputs["pixel_values"][0]) == len(sample.pieces)
    for theirs, size, piece in zip(inputs["pixel_values"][0], inputs["tgt_sizes"][0], sample.pieces, strict=True):
        slices, own_size = to_slices(torch.from_numpy(piece.copy())[None])
        assert own_size == tuple(size.tolist())
        torch.testing.assert_close(slices[0], theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("grid", [(12, 12), (9, 16), (14, 10), (8, 18)])
def test_whole_pictures(supplies: Supplies, tokenizer: Tokenizer, processor: Any, grid: tuple[int, int]) -> None:
    pixels = drawn(supplies, 1, grid).finish()
    exchanges = [
        Exchange("What is this?\n", "a red star", [whole(pixels)]),
        Exchange("它是什么颜色？", "红色"),
        Exchange("Where is it? Give a box.", "<box>1 20 300 1000</box>"),
    ]
    sample = TokenWriter(tokenizer).write(exchanges)
    assert len(sample.pieces) == 1
    assert_is_inference(sample, exchanges, [[Image.fromarray(pixels)], [], []], processor)


@pytest.mark.parametrize(
    ("grid", "scale", "slices"), [((9, 16), 1.3, 3), ((12, 12), 1.5, 5), ((12, 12), 3.0, 5), ((18, 8), 1.5, 3)]
)
def test_sliced_pictures(
    supplies: Supplies, tokenizer: Tokenizer, processor: Any, grid: tuple[int, int], scale: float, slices: int
) -> None:
    image = Image.fromarray(drawn(supplies, 2, grid, scale).picture(shrink=False))
    exchanges = [Exchange("Read the text.", "two\nlines", [cut(image, MOST_CELLS)])]
    sample = TokenWriter(tokenizer).write(exchanges)
    assert len(sample.pieces) == slices
    assert_is_inference(sample, exchanges, [[image]], processor)


def test_several_pictures_in_several_turns(supplies: Supplies, tokenizer: Tokenizer, processor: Any) -> None:
    images = [Image.fromarray(drawn(supplies, seed, (11, 13), 1.7).picture(shrink=False)) for seed in range(3)]
    exchanges = [
        Exchange("Which?", "the first", [cut(images[0], MOST_CELLS), cut(images[1], MOST_CELLS)]),
        Exchange("", "a red star", [cut(images[2], MOST_CELLS)], learn=False),
        Exchange("And?", "an owl"),
    ]
    sample = TokenWriter(tokenizer).write(exchanges)
    assert_is_inference(sample, exchanges, [images[:2], images[2:], []], processor)


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_frames_have_no_numbers(supplies: Supplies, tokenizer: Tokenizer, processor: Any, scale: float) -> None:
    images = [Image.fromarray(drawn(supplies, seed, scale=scale).picture(shrink=False)) for seed in range(3)]
    exchanges = [Exchange("Which way does it move?", "left", [cut(image, 2) for image in images])]
    sample = TokenWriter(tokenizer).write(exchanges, numbered=False)
    assert tokenizer.token_to_id("<image_id>") not in sample.ids
    assert_is_inference(sample, exchanges, [images], processor, max_slice_nums=2, use_image_id=False)


def test_without_a_picture(tokenizer: Tokenizer, processor: Any) -> None:
    exchanges = [Exchange("你是谁？", "我是一个小型的模型。")]
    sample = TokenWriter(tokenizer).write(exchanges)
    assert sample.pieces == sample.places == [] and sample.dense is None
    assert_is_inference(sample, exchanges, [[]], processor)


def test_dense_labels_go_with_a_single_picture(supplies: Supplies, tokenizer: Tokenizer) -> None:
    canvas = drawn(supplies, 0)
    table = np.zeros((len(LABELS), 144), np.int64)
    picture, writer = whole(canvas.finish(), table), TokenWriter(tokenizer)
    assert writer.write([Exchange("?", "!", [picture])]).dense is table
    assert writer.write([Exchange("?", "!", [picture, picture])]).dense is None


def test_markup_covers_the_features(supplies: Supplies, tokenizer: Tokenizer) -> None:
    sample = TokenWriter(tokenizer).write([Exchange("?", "!", [whole(drawn(supplies, 0).finish())])])
    ((start, stop),) = sample.places
    assert stop - start == QUERIES and set(sample.ids[start:stop]) == {tokenizer.token_to_id("<unk>")}
    assert sample.ids[start - 1] == tokenizer.token_to_id("<image>")


def test_the_special_tokens_of_a_conversation_are_those_of_the_vocabulary(tokenizer: Tokenizer) -> None:
    writer = TokenWriter(tokenizer)
    assert writer.end == tokenizer.token_to_id(tokens.CONTROL[2]) and writer.opening[0] == tokenizer.token_to_id(
        "<|im_start|>"
    )


def test_what_is_read_is_spelled(tokenizer: Tokenizer, processor: Any) -> None:
    answer = 'There is the text "Read the text".'
    first, last = answer.index("Read"), answer.index('".')
    plain, spelled = (
        TokenWriter(tokenizer).write([Exchange("Read the text.", answer, spelled=spans)])
        for spans in ((), ((first, last),))
    )
    read = [token for token in spelled.labels if token != -100]
    assert processor.tokenizer.decode(read) == f"{answer}<|im_end|>"
    letters = [processor.tokenizer.decode([token]) for token in read]
    assert letters[letters.index("R") :][: last - first] == list(answer[first:last])
    assert len(read) > sum(token != -100 for token in plain.labels)
    prompt = spelled.labels.count(-100)
    assert spelled.ids[: prompt - 1] == plain.ids[: prompt - 1]
