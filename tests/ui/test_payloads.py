"""What the components send is read, and what they take is made, in one place."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelscope_studio.components.pro import Chatbot, MultimodalInput

from app.errors import RequestError
from app.messages import Image, Text, Video
from app.ui.payloads import Draft, draft_value, edited_question, message_index, prompt_key, question, read_draft

TREE = (Image(Path("a.png")), Video(Path("b.mp4")), Text("then"), Image(Path("c.png")), Text("what?"))


def test_draft_there_and_back() -> None:
    draft = Draft("hello", (Path("a.png"), Path("b.mp4")))
    assert read_draft(draft_value(draft)) == draft


@pytest.mark.parametrize("value", [None, {}, {"text": None, "files": None}])
def test_empty_box(value: dict | None) -> None:
    assert read_draft(value) == Draft()


def test_event() -> None:
    assert message_index({"payload": [{"index": 3, "value": "x"}]}) == 3


@pytest.mark.parametrize("data", [{}, {"payload": []}, {"payload": [{"index": "x"}]}, {"payload": ["x"]}])
def test_a_strange_event_is_refused(data: dict) -> None:
    with pytest.raises(RequestError, match="could not be understood"):
        message_index(data)


def test_an_example_is_read_by_its_key() -> None:
    assert prompt_key({"payload": [{"value": {"key": "video"}}]}) == "video"
    for data in ({}, {"payload": []}, {"payload": [{"value": "video"}]}, {"payload": [{"value": {}}]}):
        with pytest.raises(RequestError, match="could not be understood"):
            prompt_key(data)


def test_question_keeps_the_order_and_numbers_kinds_apart() -> None:
    contents = question(TREE, "en")
    assert [content["type"] for content in contents] == ["file", "text", "text", "file", "text", "text"]
    assert [file["orig_name"] for file in contents[0]["content"]] == ["image 1.png", "video 1.mp4"]
    assert contents[1]["content"] == "[image 1]  [video 1]"
    assert contents[3]["content"][0]["orig_name"] == "image 2.png"
    assert [content.get("editable", True) for content in contents] == [False, False, True, False, False, True]


def test_numbers_are_said_in_the_language_of_the_page() -> None:
    contents = question(TREE, "zh")
    assert [file["orig_name"] for file in contents[0]["content"]] == ["图 1.png", "视频 1.mp4"]
    assert contents[1]["content"] == "[图 1]  [视频 1]"


def test_text_of_the_user_is_not_markdown() -> None:
    assert question([Text("**a** <b>")], "en") == [
        {"type": "text", "content": "**a** <b>", "options": {"render_markdown": False}}
    ]


def test_media_alone_get_a_box_to_edit() -> None:
    assert question([Image(Path("a.png"))], "en")[-1]["content"] == ""


def test_edited_question_keeps_the_places_of_its_media() -> None:
    assert edited_question(TREE, ["after that", "why?"]) == "after that\n[image 2]\nwhy?"


def test_text_for_a_question_without_any() -> None:
    media = (Image(Path("a.png")),)
    assert edited_question(media, ["What is it?"]) == "What is it?"


def test_the_components_take_the_payloads(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x")
    message = {"role": "user", "content": question([Image(picture), Text("hi")], "en")}
    shown = Chatbot().postprocess([message]).root[0]
    assert [content.type for content in shown.content] == ["file", "text", "text"]
    box = MultimodalInput().postprocess(draft_value(Draft("hi", (picture,))))
    assert box.text == "hi" and [file.path for file in box.files.root] == [str(picture)]
