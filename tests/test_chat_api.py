"""`MiniCPMVChat`: the documented input gives what the model's own `chat` gives."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import AppError, ImageError, ModelNotFoundError, OptionError, RequestError, SettingsError
from chat import MiniCPMVChat, OmniLMMChat, img2base64
from tests.adapters import make
from tests.checkpoints import CHECKPOINTS, family_of, folder
from tests.families.tiny_native import build

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "assets" / "examples"
SEVERAL_IMAGES = [model for model in CHECKPOINTS if family_of(model).max_images != 1]
GREEDY: dict[str, Any] = {"sampling": False, "num_beams": 1, "repetition_penalty": 1.0, "max_new_tokens": 12}
LIKELIEST: dict[str, Any] = {"sampling": True, "top_k": 1, "max_new_tokens": 12}

by_model = pytest.mark.parametrize("model", CHECKPOINTS)


@cache
def api(model: str) -> MiniCPMVChat:
    return MiniCPMVChat(folder(model), device="cpu", dtype="fp32")


@cache
def picture(seed: int = 0) -> Image.Image:
    """A small picture with a different texture per seed."""
    values = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((200, 150), Image.Resampling.NEAREST)


def encoded(seed: int = 0) -> str:
    file = io.BytesIO()
    picture(seed).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def say(role: str, *parts: Any) -> dict[str, Any]:
    """A message in the form with "pairs"; a picture is given by its seed."""
    listed = [
        {"type": "text", "pairs": part} if isinstance(part, str) else {"type": "image", "pairs": encoded(part)}
        for part in parts
    ]
    return {"role": role, "content": listed}


def direct(model: str, turns: list[tuple[str, list[Any]]], **options: Any) -> str:
    """What the model's own `chat` says; the turns hold texts and pictures."""
    chat, tokenizer = api(model).model.chat, api(model).tokenizer
    if model in SEVERAL_IMAGES:
        msgs = [{"role": role, "content": list(parts)} for role, parts in turns]
        return chat(image=None, msgs=msgs, tokenizer=tokenizer, **options)
    images = [part for _, parts in turns for part in parts if not isinstance(part, str)]
    texts = ["\n".join(part for part in parts if isinstance(part, str)) for _, parts in turns]
    msgs = [{"role": role, "content": text} for (role, _), text in zip(turns, texts, strict=True)]
    answer = chat(image=images[0], msgs=msgs, tokenizer=tokenizer, **options)
    return answer[0] if isinstance(answer, tuple) else answer


def ask(model: str, msgs: Any, seed: int | None = 0, **options: Any) -> str:
    image = {} if seed is None else {"image": encoded(seed)}
    return api(model).chat({"question": json.dumps(msgs), **image, **(options or GREEDY)})


# --- the conversation


@by_model
def test_plain_text_and_one_image(model: str) -> None:
    answer = ask(model, [{"role": "user", "content": "What is in the image?"}])
    assert answer == direct(model, [("user", [picture(), "What is in the image?"])], **GREEDY)


@by_model
def test_the_image_is_seen(model: str) -> None:
    msgs = [{"role": "user", "content": "What is in the image?"}]
    assert len({ask(model, msgs, seed) for seed in range(3)}) > 1


@by_model
def test_an_image_among_the_parts_is_the_same_as_one_beside_them(model: str) -> None:
    beside = ask(model, [say("user", "What is in the image?")])
    assert ask(model, [say("user", 0, "What is in the image?")], seed=None) == beside
    assert ask(model, [{"role": "user", "content": "What is in the image?"}]) == beside


@by_model
def test_a_second_question_comes_with_the_first_and_its_answer(model: str) -> None:
    msgs = [{"role": "user", "content": "What is in the image?"}]
    msgs += [{"role": "assistant", "content": "Squares."}, {"role": "user", "content": "Of what colour?"}]
    expected = direct(
        model,
        [("user", [picture(), "What is in the image?"]), ("assistant", ["Squares."]), ("user", ["Of what colour?"])],
        **GREEDY,
    )
    assert ask(model, msgs) == expected
    assert expected != ask(model, msgs[-1:])


@pytest.mark.parametrize("model", SEVERAL_IMAGES)
def test_images_stay_where_they_are_put(model: str) -> None:
    msgs = [say("user", "One:", 1, "and two:", 2), say("assistant", "Two."), say("user", 3, "And this?")]
    turns = [("user", ["One:", picture(1), "and two:", picture(2)]), ("assistant", ["Two."])]
    turns += [("user", [picture(3), "And this?"])]
    assert ask(model, msgs, seed=None) == direct(model, turns, **GREEDY)


@pytest.mark.parametrize("model", SEVERAL_IMAGES)
def test_images_beside_the_messages_come_first(model: str) -> None:
    inputs = {"image": [encoded(1), encoded(2)], "question": json.dumps([say("user", 3, "Which?")]), **GREEDY}
    expected = direct(model, [("user", [picture(1), picture(2), picture(3), "Which?"])], **GREEDY)
    assert api(model).chat(inputs) == expected


@pytest.mark.parametrize("model", SEVERAL_IMAGES)
@pytest.mark.parametrize("absent", [{}, {"image": None}, {"image": ""}, {"image": []}])
def test_no_image_at_all(model: str, absent: dict[str, Any]) -> None:
    answer = api(model).chat({"question": json.dumps([say("user", "Hello")]), **absent, **GREEDY})
    assert answer == direct(model, [("user", ["Hello"])], **GREEDY)


@by_model
def test_a_member_with_one_image_says_so(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api(model), "_family", replace(family_of(model), max_images=1))
    with pytest.raises(RequestError, match=r"2 images; .* takes 1"):
        ask(model, [say("user", 1, "What?")])
    with pytest.raises(RequestError, match=r"in message 3; .* in the first message"):
        ask(model, [say("user", "Hi"), say("assistant", "Hi"), say("user", 1, "What?")], seed=None)


@by_model
def test_messages_need_not_be_json_and_are_not_changed(model: str) -> None:
    msgs = [say("user", "What is in the image?")]
    before = json.dumps(msgs)
    assert api(model).chat({"image": encoded(), "question": msgs, **GREEDY}) == ask(model, msgs)
    assert json.dumps(msgs) == before


@by_model
def test_an_answer_with_its_context_is_still_a_text(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api(model).model, "chat", lambda **_: ("Squares.", [], {}))
    assert ask(model, [say("user", "What?")]) == "Squares."


# --- streaming


@by_model
def test_a_stream_joins_to_the_answer(model: str) -> None:
    inputs = {"image": encoded(), "question": json.dumps([say("user", "What is in the image?")]), **LIKELIEST}
    pieces = list(api(model).stream(inputs))
    assert all(pieces)
    assert "".join(pieces).strip() == api(model).chat(inputs)


@pytest.mark.parametrize("model", SEVERAL_IMAGES)
def test_a_stream_comes_in_pieces(model: str) -> None:
    inputs = {"question": json.dumps([say("user", "Hello")]), **LIKELIEST}
    assert len(list(api(model).stream(inputs))) > 1


@by_model
def test_a_wrong_input_is_said_before_the_first_piece(model: str) -> None:
    with pytest.raises(RequestError):
        api(model).stream({"question": "[]"})


# --- options


@by_model
def test_params_are_options_too(model: str) -> None:
    question = json.dumps([say("user", "What is in the image?")])
    given = {"image": encoded(), "question": question}
    answer = api(model).chat({**given, **GREEDY})
    assert api(model).chat({**given, "params": GREEDY}) == answer
    assert api(model).chat({**given, "params": json.dumps(GREEDY)}) == answer


@by_model
def test_an_option_reaches_the_model(model: str) -> None:
    one_token = GREEDY | {"max_new_tokens": 1}
    answer = ask(model, [say("user", "What is in the image?")], **one_token)
    assert answer == direct(model, [("user", [picture(), "What is in the image?"])], **one_token)
    assert answer != ask(model, [say("user", "What is in the image?")])


def test_the_slices_of_an_image_can_be_limited() -> None:
    large = io.BytesIO()
    picture().resize((900, 700)).save(large, "PNG")
    inputs = {"image": base64.b64encode(large.getvalue()), "question": json.dumps([say("user", "What?")]), **GREEDY}
    chat = api("minicpm-v-2_6").chat
    assert chat(inputs | {"max_slice_nums": 1}) != chat(inputs | {"max_slice_nums": 9})


@by_model
@pytest.mark.parametrize("key", ["nonsense", "tokenizer", "msgs", "kwargs", "stream"])
def test_an_unknown_key_is_named_with_the_known_ones(model: str, key: str) -> None:
    with pytest.raises(OptionError, match=rf"takes no {key}; its options are .*max_new_tokens.*sampling"):
        api(model).chat({"question": [say("user", "Hi")], key: 1})


@by_model
@pytest.mark.parametrize(
    ("key", "value"), [("temperature", 9), ("top_k", "many"), ("max_new_tokens", 0), ("sampling", "no")]
)
def test_a_value_out_of_range_is_said(model: str, key: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{key}: got {value!r}, allowed is"):
        ask(model, [say("user", "Hi")], **{key: value})


# --- what cannot be read

TEXT = "What is this secret?"
TORN = base64.b64encode(base64.b64decode(encoded())[:300]).decode()


@pytest.mark.parametrize(
    ("inputs", "kind", "words"),
    [
        ("What?", RequestError, ["a str", '"question"']),
        ({"image": encoded()}, RequestError, ["image", '"question"']),
        ({"question": TEXT}, RequestError, ["not JSON", "character 1"]),
        ({"question": json.dumps(TEXT)}, RequestError, ["no list of messages"]),
        ({"question": "[]"}, RequestError, ["empty"]),
        ({"question": [TEXT]}, RequestError, ["Message 1 is a str"]),
        ({"question": [{"content": TEXT}]}, RequestError, ["Message 1 has the role None", "'user'"]),
        ({"question": [{"role": "system", "content": TEXT}]}, RequestError, ["'system'", "'assistant'"]),
        ({"question": [{"role": "assistant", "content": TEXT}]}, RequestError, ["first message"]),
        ({"question": [{"role": "user"}]}, RequestError, ["Message 1 has no content"]),
        ({"question": [{"role": "user", "content": []}]}, RequestError, ["Message 1 has no content"]),
        ({"question": [{"role": "user", "content": [{"type": "audio", "pairs": ""}]}]}, RequestError, ["'audio'"]),
        ({"question": [{"role": "user", "content": [{"type": "text"}]}]}, RequestError, ["without a text"]),
        ({"question": [{"role": "user", "content": [7]}]}, RequestError, ["None", "'image'"]),
        ({"question": [say("user", TEXT)], "params": "x"}, RequestError, ['"params"', "JSON"]),
        ({"question": [say("user", TEXT)], "params": [1]}, RequestError, ['"params"', "list"]),
        ({"question": [say("user", TEXT)], "image": "no base64!"}, ImageError, ['"image" 1', "not base64"]),
        ({"question": [say("user", TEXT)], "image": [encoded(), "~"]}, ImageError, ['"image" 2', "not base64"]),
        ({"question": [say("user", TEXT)], "image": 7}, ImageError, ["int"]),
        ({"question": [say("user", TEXT)], "image": [7]}, ImageError, ['"image" 1', "int"]),
        ({"question": [say("user", TEXT)], "image": "aGVsbG8="}, ImageError, ['"image" 1', "text"]),
        ({"question": [say("user", TEXT)], "image": TORN}, ImageError, ['"image" 1', "PNG", "damaged"]),
        (
            {"question": [say("user", TEXT), {"role": "user", "content": [{"type": "image", "pairs": "~"}]}]},
            ImageError,
            ["The image of message 2", "not base64"],
        ),
        ({"question": [{"role": "user", "content": [{"type": "image"}]}]}, ImageError, ["message 1", "NoneType"]),
    ],
)
def test_what_is_wrong_with_an_input_is_said(inputs: Any, kind: type[AppError], words: list[str]) -> None:
    with pytest.raises(kind) as caught:
        api(CHECKPOINTS[0]).chat(inputs)
    assert all(word in caught.value.message for word in words), caught.value.message
    assert caught.value.hint and "secret" not in str(caught.value)


# --- images


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.[jp][pn]g")), ids=lambda path: path.name)
def test_an_encoded_file_is_the_file(path: Path) -> None:
    assert base64.b64decode(img2base64(path)) == path.read_bytes()
    assert img2base64(str(path)) == img2base64(path)


def test_base64_may_have_a_prefix_and_lines() -> None:
    msgs = [{"role": "user", "content": "What?"}]
    model = CHECKPOINTS[0]
    lines = base64.encodebytes(base64.b64decode(encoded())).decode()
    for given in (lines, encoded().encode(), f"data:image/png;base64,{encoded()}"):
        assert api(model).chat({"image": given, "question": json.dumps(msgs), **GREEDY}) == ask(model, msgs)


def test_a_turned_photo_is_seen_upright() -> None:
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees clockwise to see it upright
    picture().save(turned, "PNG", exif=exif)
    model = CHECKPOINTS[0]
    inputs = {"image": base64.b64encode(turned.getvalue()), "question": json.dumps([say("user", "What?")]), **GREEDY}
    upright = picture().transpose(Image.Transpose.ROTATE_270)
    assert api(model).chat(inputs) == direct(model, [("user", [upright, "What?"])], **GREEDY)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(base64.b64decode(encoded())[:300])
    (tmp_path / "text.png").write_text("hello")
    for name, words in [("missing.png", "No such file"), ("torn.png", "damaged"), ("text.png", "text")]:
        with pytest.raises(ImageError, match=words) as caught:
            img2base64(tmp_path / name)
        assert "tmp" not in str(caught.value)
    with pytest.raises(ImageError):
        img2base64(tmp_path)


# --- loading


def test_the_old_name_is_the_same_class() -> None:
    assert OmniLMMChat is MiniCPMVChat


def test_what_was_decided_otherwise_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("app.engine.device.has_bf16", lambda device: False)
    with caplog.at_level(logging.WARNING):
        loaded = MiniCPMVChat(folder(CHECKPOINTS[0]), device="cpu", dtype="bf16")
    assert [record.message for record in caplog.records if "fp32 is used" in record.message]
    assert str(loaded.model.dtype) == "torch.float32"


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"device": "tpu"}, SettingsError, "tpu"),
        ({"dtype": "fp8"}, SettingsError, "fp8"),
        ({"source": "elsewhere"}, SettingsError, "elsewhere.*modelscope"),
        ({"model_path": "no/such/folder"}, ModelNotFoundError, "does not exist"),
    ],
)
def test_what_cannot_be_loaded_is_said(arguments: dict[str, Any], kind: type[AppError], words: str) -> None:
    with pytest.raises(kind, match=re.compile(words)):
        MiniCPMVChat(**({"model_path": folder(CHECKPOINTS[0])} | arguments))


def test_it_needs_no_page() -> None:
    code = (
        "import sys; from chat import MiniCPMVChat, img2base64; light = 'torch' not in sys.modules\n"
        f"MiniCPMVChat({str(folder(CHECKPOINTS[0]))!r}, device='cpu'); print(light, 'gradio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.stdout.split() == ["True", "False"], done.stderr


# --- adapters


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> MiniCPMVChat:
    root = tmp_path_factory.mktemp("adapters")
    folders = {"first": make("minicpm-v-2_6", "official", root), "second": make("minicpm-v-2_6", "ours", root)}
    return MiniCPMVChat(folder("minicpm-v-2_6"), device="cpu", dtype="fp32", adapters=folders)


def test_a_call_names_its_adapter_and_the_first_is_the_default(adapted: MiniCPMVChat) -> None:
    question = {"image": encoded(), "question": json.dumps([say("user", "What is it?")]), **GREEDY}
    alone = api("minicpm-v-2_6").chat(question)
    first, second = (adapted.chat({**question, "adapter": name}) for name in ("first", "second"))
    assert len({alone, first, second}) == 3
    assert adapted.chat({**question, "adapter": "base"}) == alone
    assert adapted.chat(question) == first
    assert adapted.chat({**question, "params": {"adapter": "second"}}) == second
    likeliest = question | LIKELIEST
    assert "".join(adapted.stream({**likeliest, "adapter": "second"})) == adapted.chat(
        {**likeliest, "adapter": "second"}
    )


def test_an_adapter_that_is_not_there_is_named_with_the_others(adapted: MiniCPMVChat) -> None:
    question = {"question": json.dumps([say("user", "Hello")]), "adapter": "third"}
    with pytest.raises(OptionError, match="got 'third', allowed is base, first, second"):
        adapted.chat(question)
    with pytest.raises(OptionError, match="takes no adapter"):
        api("minicpm-v-2_6").chat(question)


@pytest.mark.parametrize("form", [str, Path, lambda path: [path], lambda path: [f"mine={path}"]])
def test_adapters_in_other_forms(tmp_path: Path, form: Any) -> None:
    path = make("minicpm-v-2_6", "ours", tmp_path)
    model = MiniCPMVChat(folder("minicpm-v-2_6"), device="cpu", dtype="fp32", adapters=form(path))
    assert model._adapters.names in ((path.name,), ("mine",))


@pytest.mark.parametrize("version", ["4.6", "4.7"])
def test_members_whose_classes_are_the_librarys(version: str, tmp_path: Path) -> None:
    """They have no `chat` of their own."""
    model = MiniCPMVChat(build(tmp_path, version), device="cpu", dtype="fp32")
    given = {"question": json.dumps([say("user", 0, "What is it?")]), **GREEDY}
    answer = model.chat(given)
    assert answer and "".join(model.stream({**given, "sampling": True, "top_k": 1})) == model.chat(
        {**given, "sampling": True, "top_k": 1}
    )
    assert model.chat({**given, "image": encoded(1)}) is not None
    with pytest.raises(OptionError, match="heat"):
        model.chat({**given, "heat": 1})
