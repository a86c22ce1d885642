"""Chat and prompts of the models of one image, beyond the golden cases."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from PIL import Image

from app.errors import RequestError
from tests.modeling.golden import load
from tests.modeling.legacy import LEGACY, WITH_CONTEXT, LegacyCase, answer_of, legacy_cases

by_model = pytest.mark.parametrize("model", LEGACY)
with_context = pytest.mark.parametrize("model", WITH_CONTEXT)
GREEDY = {"sampling": False, "num_beams": 1, "repetition_penalty": 1.0, "max_new_tokens": 10}
MARKUP = (
    "<image>",
    "</image>",
    "</slice>",
    "<unk>",
    "</s>",
    "<s>",
    "<im_start>",
    "<im_patch>",
    "(<image>./</image>)",
    "a <image><unk></image> b",
    "<<image>image>",
    "<im_start><im_patch><im_end>",
)


def picture(width: int = 300, height: int = 200) -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert("RGB")


def ask(model: str, text: Any, image: Image.Image | None = None, **options: Any) -> str:
    msgs = text if isinstance(text, list) else [{"role": "user", "content": text}]
    loaded, tokenizer, _ = load(model)
    return answer_of(loaded.chat(image=image or picture(), msgs=msgs, tokenizer=tokenizer, **(GREEDY | options)))


def inputs_of(model: str, *content: Any) -> Any:
    return load(model)[2].chat_inputs([[{"role": "user", "content": list(content)}]])


def special_ids(model: str) -> list[int]:
    return list(load(model)[1].added_tokens_encoder.values())


def typed_markup() -> list[tuple[str, str]]:
    """All markup for all models, but for the one that OmniLMM's users may write."""
    return [(model, text) for model in LEGACY for text in MARKUP if model in WITH_CONTEXT or "<image>" not in text]


@pytest.mark.parametrize(("model", "text"), typed_markup())
def test_markup_in_user_text_is_plain_text(model: str, text: str) -> None:
    special = special_ids(model)
    inputs = inputs_of(model, picture(), f"x {text} y")
    ordinary = inputs_of(model, picture(), "x y")
    typed, plain = ([i for i in row["input_ids"][0].tolist() if i in special] for row in (inputs, ordinary))
    assert typed == plain
    assert inputs["image_bound"][0].tolist() == ordinary["image_bound"][0].tolist()
    assert text in load(model)[1].decode(inputs["input_ids"][0])
    assert ask(model, f"x {text} y")


@with_context
@pytest.mark.parametrize("text", ["Wow! Look!! ", "\n\nline\n", "  spaced  ", "中文，标点。", "a\u200bb", "emoji 🎉"])
def test_guarded_and_ordinary_ways_give_the_same_ids(model: str, text: str) -> None:
    processor = load(model)[2]
    prompt = processor.render([{"role": "user", "content": [picture(), text]}])
    assert processor.encoder.encode(prompt, mark="\ue000") == processor.encoder.encode(prompt)


def test_guarded_text_keeps_omnilmm_ids_too() -> None:
    processor = load("omnilmm-12b")[2]
    for case in legacy_cases("omnilmm-12b"):
        prompt = case.expected["prompt"]
        assert processor.encoder.encode(prompt, mark="\ue000") == case.expected["input_ids"]


def test_the_tag_of_omnilmm_says_where_the_image_goes() -> None:
    tagged = inputs_of("omnilmm-12b", picture(), "In <image> there is?")["input_ids"][0].tolist()
    front = inputs_of("omnilmm-12b", picture(), "In there is?")["input_ids"][0].tolist()
    start = load("omnilmm-12b")[1].convert_tokens_to_ids("<im_start>")
    assert tagged.count(start) == front.count(start) == 1
    assert tagged.index(start) > front.index(start)
    with pytest.raises(RequestError, match="2 times <image> for one image"):
        ask("omnilmm-12b", "<image> and <image>")


def test_the_tag_in_a_later_message_is_text() -> None:
    msgs = [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": "A line."},
        {"role": "user", "content": "And <image>?"},
    ]
    assert ask("omnilmm-12b", msgs)


@by_model
def test_messages_may_be_json(model: str) -> None:
    msgs = [{"role": "user", "content": "What is in the image?"}]
    loaded, tokenizer, _ = load(model)
    assert answer_of(loaded.chat(picture(), json.dumps(msgs), tokenizer=tokenizer, **GREEDY)) == ask(model, msgs)


@by_model
def test_an_image_in_any_mode_is_taken(model: str) -> None:
    gray = picture().convert("L")
    assert ask(model, "What?", gray) == ask(model, "What?", gray.convert("RGB"))


@with_context
def test_the_published_order_of_arguments(model: str) -> None:
    loaded, tokenizer, _ = load(model)
    answer, context, settings = loaded.chat(
        picture(),
        [{"role": "user", "content": "What?"}],
        None,
        tokenizer,
        sampling=False,
        num_beams=1,
        max_new_tokens=6,
    )
    assert context[-1] == {"role": "assistant", "content": answer}
    assert settings == {"num_beams": 1, "repetition_penalty": 1.2}


@with_context
def test_a_next_turn_goes_on_from_the_returned_context(model: str) -> None:
    loaded, tokenizer, _ = load(model)
    _, context, _ = loaded.chat(picture(), [{"role": "user", "content": "What?"}], None, tokenizer, **GREEDY)
    context.append({"role": "user", "content": "Sure?"})
    _, longer, _ = loaded.chat(picture(), context, None, tokenizer, **GREEDY)
    assert [turn["role"] for turn in longer] == ["user", "assistant", "user", "assistant"]


def test_omnilmm_takes_the_other_names_of_keys_and_roles() -> None:
    other = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A line."}, {"from": "human", "value": "Ok"}]
    usual = [
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "A line."},
        {"role": "user", "content": "Ok"},
    ]
    assert ask("omnilmm-12b", other) == ask("omnilmm-12b", usual)


def test_omnilmm_wants_alternating_roles() -> None:
    with pytest.raises(RequestError, match="alternate"):
        ask("omnilmm-12b", [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])


@by_model
@pytest.mark.parametrize(
    "msgs", [[], None, "not json", [{"role": "assistant", "content": "Hi"}], [{"role": "user"}], ["Hello"]]
)
def test_bad_messages_are_a_clear_error(model: str, msgs: Any) -> None:
    loaded, tokenizer, _ = load(model)
    with pytest.raises(RequestError) as caught:
        loaded.chat(image=picture(), msgs=msgs, tokenizer=tokenizer)
    assert caught.value.hint


@by_model
def test_a_system_message_is_refused(model: str) -> None:
    with pytest.raises(RequestError, match="'system'"):
        ask(model, [{"role": "system", "content": "Obey."}, {"role": "user", "content": "Hi"}])


@by_model
def test_a_second_image_is_refused(model: str) -> None:
    with pytest.raises(RequestError, match="2 images"):
        ask(model, [{"role": "user", "content": [picture(), "Which?"]}])


@pytest.mark.parametrize("model", LEGACY[1:])
def test_no_image_is_refused_where_one_is_needed(model: str) -> None:
    with pytest.raises(RequestError, match="no image"):
        load(model)[0].chat(image=None, msgs=[{"role": "user", "content": "Hi"}], tokenizer=load(model)[1])


@by_model
def test_a_cut_inside_the_image_is_an_error(model: str) -> None:
    with pytest.raises(RequestError, match="cut"):
        ask(model, "word " * 50, max_inp_length=60)


@with_context
def test_a_long_prompt_is_cut_behind(model: str) -> None:
    loaded, _, processor = load(model)
    turns = [{"role": "user", "content": [picture(), "word " * 3000]}]
    ids = processor.chat_inputs([turns], max_length=loaded.chat_defaults.max_inp_length)["input_ids"][0]
    assert len(ids) == 2048
    assert torch.equal(ids, processor.chat_inputs([turns])["input_ids"][0, :2048])
    assert ask(model, "word " * 3000)


def test_a_long_prompt_of_omnilmm_is_cut_in_front() -> None:
    processor = load("omnilmm-12b")[2]
    turns = [{"role": "user", "content": [picture(), "word " * 20]}]
    whole = processor.chat_inputs([turns])["input_ids"][0].tolist()
    cut = processor.chat_inputs([turns], max_length=len(whole) - 5)["input_ids"][0].tolist()
    assert cut == whole[:1] + whole[6:]
    with pytest.raises(RequestError, match="cut"):
        ask("omnilmm-12b", "word " * 3000)


@with_context
def test_the_published_tokenizer_json_is_not_read(model: str) -> None:
    """It puts a space mark in front of a text, with which the models were not trained."""
    tokenizer = load(model)[1]
    assert tokenizer.convert_ids_to_tokens(tokenizer("<用户>hi").input_ids)[:4] == ["<s>", "<", "用户", ">"]


@with_context
def test_special_tokens_in_an_answer_decode_as_in_the_release(model: str) -> None:
    tokenizer = load(model)[1]
    ids = tokenizer("<ref>cat</ref><box>1 2</box> ok", add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == "<ref> cat</ref><box> 1 2</box> ok"


@by_model
def test_a_batch_of_processed_conversations_equals_its_members(model: str) -> None:
    loaded, tokenizer, processor = load(model)
    conversations = [
        [{"role": "user", "content": [picture(640, 300), "What is this?"]}],
        [{"role": "user", "content": [picture(90, 100), "Tell me a long story about it."]}],
    ]
    options = {"max_new_tokens": 10, "do_sample": False, "decode_text": True, "tokenizer": tokenizer}
    together = loaded.generate(**processor.chat_inputs(conversations), **options)
    alone = [loaded.generate(**processor.chat_inputs([one]), **options)[0] for one in conversations]
    assert together == alone


@by_model
def test_apply_chat_template_equals_chat(model: str) -> None:
    loaded, tokenizer, processor = load(model)
    case = LegacyCase(model, "pub_single_small")
    msgs = [{"role": "user", "content": [{"type": "image", "image": case.image}, {"type": "text", "text": "What?"}]}]
    inputs = processor.apply_chat_template(msgs, tokenize=True)
    ids = loaded.generate(**inputs, max_new_tokens=10, do_sample=False)
    assert loaded.decode_answers(ids, tokenizer)[0] == ask(model, "What?", case.image)
