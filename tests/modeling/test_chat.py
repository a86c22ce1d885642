"""`model.chat` and the processor as the models' pages document them, beyond the golden cases."""

from __future__ import annotations

import json
import threading
import time
import warnings
from typing import Any

import pytest
import torch
from PIL import Image

from app.errors import CheckpointError, RequestError
from tests.modeling.golden import MODELS, load

by_model = pytest.mark.parametrize("model", MODELS)
GREEDY = {"sampling": False, "num_beams": 1, "repetition_penalty": 1.0, "max_new_tokens": 10}


def picture(width: int, height: int, color: str = "red") -> Image.Image:
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    return Image.blend(image, Image.new("RGB", (width, height), color), 0.5)


def ask(model: str, msgs: Any, **options: Any) -> Any:
    return load(model)[0].chat(msgs=msgs, tokenizer=load(model)[1], **(GREEDY | options))


@by_model
def test_a_batch_answers_as_its_members_alone(model: str) -> None:
    batch = [
        [{"role": "user", "content": [picture(640, 300), "What is this?"]}],
        [{"role": "user", "content": "Tell me a long story about a mountain and a river."}],
        [{"role": "user", "content": [picture(900, 700, "blue"), picture(100, 90), "Compare, please!"]}],
    ]
    assert ask(model, batch) == [ask(model, msgs) for msgs in batch]
    assert ask(model, batch, repetition_penalty=1.3) == [ask(model, msgs, repetition_penalty=1.3) for msgs in batch]


@by_model
def test_messages_may_be_json(model: str) -> None:
    msgs = [{"role": "user", "content": "What is in the image?"}]
    image = picture(300, 200)
    assert ask(model, json.dumps(msgs), image=image) == ask(
        model, [{"role": "user", "content": [image, "What is in the image?"]}]
    )


@by_model
def test_the_callers_messages_are_not_changed(model: str) -> None:
    msgs = [{"role": "user", "content": "What is in the image?"}]
    ask(model, msgs, image=picture(30, 20), system_prompt="Be brief.")
    assert msgs == [{"role": "user", "content": "What is in the image?"}]


@by_model
def test_tokenizer_may_be_left_out(model: str) -> None:
    msgs = [{"role": "user", "content": "Hello"}]
    assert load(model)[0].chat(msgs=msgs, **GREEDY) == ask(model, msgs)


@by_model
@pytest.mark.parametrize(
    "msgs",
    [
        [],
        None,
        "not json",
        [{"role": "assistant", "content": "Hi"}],
        [{"role": "system", "content": "Hi"}],
        [{"role": "user"}],
        ["Hello"],
        [[]],
    ],
)
def test_bad_messages_are_a_clear_error(model: str, msgs: Any) -> None:
    with pytest.raises(RequestError) as caught:
        ask(model, msgs)
    assert caught.value.hint


@by_model
def test_a_batch_takes_no_image_argument(model: str) -> None:
    with pytest.raises(RequestError, match="image="):
        ask(model, [[{"role": "user", "content": "Hi"}]], image=picture(10, 10))


@by_model
def test_beam_search_cannot_stream(model: str) -> None:
    with pytest.raises(RequestError, match="stream"):
        ask(model, [{"role": "user", "content": "Hi"}], stream=True)


@by_model
def test_a_cut_inside_an_image_is_an_error_and_a_cut_behind_it_is_not(model: str) -> None:
    msgs = [{"role": "user", "content": [picture(300, 200), "word " * 50]}]
    with pytest.raises(RequestError, match="cut inside an image"):
        ask(model, msgs, max_inp_length=60)
    assert isinstance(ask(model, msgs, max_inp_length=150), str)


def test_options_that_2_5_does_not_take_are_said_and_ignored() -> None:
    msgs = [{"role": "user", "content": [picture(900, 700), "What?"]}]
    with pytest.warns(UserWarning, match="max_slice_nums"):
        limited = ask("minicpm-llama3-v-2_5", msgs, max_slice_nums=1)
    assert limited == ask("minicpm-llama3-v-2_5", msgs)


def test_2_6_takes_them_without_a_warning() -> None:
    msgs = [{"role": "user", "content": [picture(900, 700), "What?"]}]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, message=".*ignored.*")
        assert ask("minicpm-v-2_6", msgs, max_slice_nums=1) != ask("minicpm-v-2_6", msgs)


@by_model
def test_a_stream_joins_to_the_answer(model: str) -> None:
    msgs = [{"role": "user", "content": [picture(300, 200), "What is it?!"]}]
    sampling = {"sampling": True, "top_k": 1, "max_new_tokens": 20}
    pieces = list(ask(model, msgs, stream=True, **sampling))
    assert pieces[0] == ""
    assert "".join(pieces).strip() == ask(model, msgs, **sampling)


@by_model
def test_a_closed_stream_ends_the_generation(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, tokenizer, _ = load(model)
    forward = loaded.llm.forward
    steps: list[int] = []
    ends = tokenizer.convert_tokens_to_ids(list(loaded.chat_defaults.terminators))

    def slow(*args: Any, **kwargs: Any) -> Any:
        steps.append(1)
        time.sleep(0.01)
        output = forward(*args, **kwargs)
        output.logits[..., ends] = -1e9
        return output

    monkeypatch.setattr(loaded.llm, "forward", slow)
    before = threading.active_count()
    stream = ask(model, [{"role": "user", "content": "Hi"}], sampling=True, stream=True, max_new_tokens=5000)
    for _ in range(3):
        next(stream)
    stream.close()
    assert threading.active_count() == before
    assert len(steps) < 1000


@by_model
def test_an_error_in_a_stream_reaches_its_reader(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(model)[0]

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ArithmeticError("broken")

    monkeypatch.setattr(loaded.llm, "forward", fail)
    with pytest.raises(ArithmeticError, match="broken"):
        list(ask(model, [{"role": "user", "content": "Hi"}], sampling=True, stream=True))


@by_model
def test_vision_features_may_be_made_before(model: str) -> None:
    loaded, tokenizer, processor = load(model)
    msgs = [{"role": "user", "content": [picture(640, 300), "What is this?"]}]
    inputs = processor.chat_inputs([msgs])
    ids, features = loaded.generate(
        **inputs, tokenizer=tokenizer, max_new_tokens=10, do_sample=False, return_vision_hidden_states=True
    )
    assert torch.equal(
        ids,
        loaded.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            image_bound=inputs["image_bound"],
            vision_hidden_states=features,
            tokenizer=tokenizer,
            max_new_tokens=10,
            do_sample=False,
        ),
    )


@by_model
def test_apply_chat_template_equals_chat(model: str) -> None:
    loaded, tokenizer, processor = load(model)
    image = picture(640, 300)
    msgs = [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": "What?"}]}]
    assert "(<image>./</image>)\nWhat?" in processor.apply_chat_template(msgs)
    inputs = processor.apply_chat_template(msgs, tokenize=True)
    ids = loaded.generate(**inputs, max_new_tokens=10, do_sample=False)
    assert loaded.decode_answers(ids, tokenizer)[0] == ask(model, [{"role": "user", "content": [image, "What?"]}])


@by_model
def test_a_processed_batch_moves_to_a_dtype(model: str) -> None:
    processor = load(model)[2]
    inputs = processor("(<image>./</image>)", picture(30, 20)).to("cpu", torch.bfloat16)
    assert inputs["pixel_values"][0][0].dtype == torch.bfloat16
    assert inputs["input_ids"].dtype == torch.int64
    assert inputs["tgt_sizes"][0].dtype == torch.int32


def test_a_model_without_files_cannot_find_its_tokenizer_but_generates() -> None:
    loaded = load("minicpm-v-2_6")[0]
    fresh = type(loaded)(loaded.config.__class__.from_dict(loaded.config.to_dict() | {"_name_or_path": ""}))
    embeds = torch.zeros(1, 4, loaded.config.hidden_size)
    assert fresh.generate(inputs_embeds=embeds, eos_token_id=1, max_new_tokens=2, do_sample=False).shape[0] == 1


def test_checkpoint_error_is_not_raised_for_files_that_agree() -> None:
    loaded, _, processor = load("minicpm-v-2_6")
    try:
        loaded._check_agreement(processor)
    except CheckpointError as error:  # pragma: no cover
        pytest.fail(str(error))
