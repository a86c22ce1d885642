from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.messages import Image, Message, Text, Video
from finetune.samples import DataError, InlineImage, Sample, read_samples
from tests.finetune.conftest import talk

Write = Callable[..., Path]


def only(path: Path, **options: Any) -> Sample:
    (sample,) = read_samples(path, **options)
    return sample


def first(path: Path) -> tuple[Any, ...]:
    """The parts of the first message."""
    sample = only(path)
    assert sample.fault is None
    return sample.messages[0].content


def fault_of(path: Path) -> Any:
    sample = only(path)
    assert sample.messages == ()
    return sample.fault


@pytest.mark.parametrize("text", ["<image>\nWhat?", "What?", "<image>What?", "<image>\r\nWhat?"])
def test_a_picture_with_or_without_its_mark_goes_first(write_data: Write, tmp_path: Path, text: str) -> None:
    path = write_data(talk(text, "A dog.", image="a.png"))
    assert only(path).messages == (
        Message("user", (Image(tmp_path / "a.png"), Text("What?"))),
        Message("assistant", (Text("A dog."),)),
    )


def test_marks_place_several_pictures_over_turns(write_data: Write, tmp_path: Path) -> None:
    named = {"<image_00>": "a.png", "<image_01>": "b.png"}
    sample = only(write_data(talk("See <image_01>\n now", "Yes.", "<image_00>\nand <image_01>", "No.", image=named)))
    a, b = Image(tmp_path / "a.png"), Image(tmp_path / "b.png")
    assert sample.messages[0].content == (Text("See"), b, Text(" now"))
    assert sample.messages[2].content == (a, Text("and"), b)
    assert sample.notes == ()


def test_pictures_without_any_mark_go_first_in_their_order(write_data: Write, tmp_path: Path) -> None:
    content = first(write_data(talk("Q", "A", image={"<image_00>": "b.png", "<image_01>": "a.png"})))
    assert content == (Image(tmp_path / "b.png"), Image(tmp_path / "a.png"), Text("Q"))


def test_lists_of_pictures_and_videos_fill_the_marks_in_order(write_data: Write, tmp_path: Path) -> None:
    entry = talk("<image>\n<image>\n<video>\nQ", "A", images=["a.png", "b.png"], videos=["c.mp4"])
    a, b = Image(tmp_path / "a.png"), Image(tmp_path / "b.png")
    assert first(write_data(entry)) == (a, b, Video(tmp_path / "c.mp4"), Text("Q"))


@pytest.mark.parametrize(
    "beside",
    [
        {"video": "c.mp4"},
        {"video": {"video": "c.mp4"}},
        {"image": {"video": "c.mp4"}},
        {"image": {"<image_00>": {"video": "c.mp4"}}},
        {"videos": ["c.mp4"]},
    ],
)
def test_videos(write_data: Write, tmp_path: Path, beside: dict[str, Any]) -> None:
    assert first(write_data(talk("Q", "A", **beside))) == (Video(tmp_path / "c.mp4"), Text("Q"))


def test_a_video_may_say_its_frames(write_data: Write, tmp_path: Path) -> None:
    entry = talk("Q", "A", video={"video": "c.mp4", "max_frames": 8})
    assert first(write_data(entry))[0] == Video(tmp_path / "c.mp4", 8)
    assert fault_of(write_data(talk("Q", "A", video={"video": "c.mp4", "max_frames": 0}))).kind == "form"


def test_chat_completions_in_json_lines(write_data: Write, tmp_path: Path) -> None:
    url = "data:image/png;base64," + base64.b64encode(b"bytes of a file").decode()
    content = [
        {"type": "text", "text": "Compare <image>"},
        {"type": "image_url", "image_url": {"url": "a.png"}},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image", "image": "file:///srv/b%20c.png"},
        {"type": "video_url", "video_url": {"url": "c.mp4"}},
        {"type": "text", "text": "well"},
    ]
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": "Equal."}]},
    ]
    second = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
    samples = read_samples(write_data({"id": "x", "messages": turns}, second, name="data.jsonl"))
    assert [sample.id for sample in samples] == ["x", "1"]
    assert [sample.line for sample in samples] == [1, 2]
    system, user, assistant = samples[0].messages
    assert (system.text, assistant.text) == ("Be brief.", "Equal.")
    assert user.content == (
        Text("Compare <image>"),
        Image(tmp_path / "a.png"),
        InlineImage(b"bytes of a file"),
        Image(Path("/srv/b c.png")),
        Video(tmp_path / "c.mp4"),
        Text("well"),
    )


def test_places_in_a_content_take_the_pictures_beside_it(write_data: Write, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "image"}]},
        {"role": "assistant", "content": "A"},
    ]
    content = first(write_data({"messages": turns, "images": ["a.png"]}))
    assert content == (Text("Q"), Image(tmp_path / "a.png"))


def test_older_names_of_roles_and_keys(write_data: Write) -> None:
    turns = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    assert only(write_data({"conversations": turns})).messages == (
        Message.of("user", "Q"),
        Message.of("assistant", "A"),
    )


def test_paths_start_from_the_data_file_or_the_media_root(write_data: Write, tmp_path: Path) -> None:
    def sources(**options: Any) -> list[Any]:
        entries = [talk("Q", "A", image=path) for path in ("a.png", "../up/a.png", "/abs/a.png")]
        samples = read_samples(write_data(*entries), **options)
        return [sample.messages[0].content[0].source for sample in samples]

    assert sources() == [tmp_path / "a.png", tmp_path / "../up/a.png", Path("/abs/a.png")]
    assert sources(media_root="/m") == [Path("/m/a.png"), Path("/m/../up/a.png"), Path("/abs/a.png")]


def test_what_an_assistant_says_is_text(write_data: Write) -> None:
    sample = only(write_data(talk("<image>\nQ", "It is <image> <image_07>.", image="a.png")))
    assert sample.messages[1].content == (Text("It is <image> <image_07>."),)


@pytest.mark.parametrize(
    ("entry", "kind", "said"),
    [
        (talk("<image>\nQ", "A"), "marks", "<image>"),
        (talk("<image>\n<image>\nQ", "A", image="a.png"), "marks", "<image>"),
        (talk("<image_01>\nQ", "A", image={"<image_00>": "a.png"}), "marks", "<image_01>"),
        (talk("Q", " \n"), "empty", "Message 2"),
        (talk(" ", "A"), "empty", "Message 1"),
        (talk("Q", "A", "Q"), "roles", "does not end"),
        (talk("Q"), "roles", "does not end"),
        ({"conversations": [{"role": "assistant", "content": "A"}]}, "roles", "user's is due"),
        ({"conversations": [{"role": "user", "content": "Q"}] * 2}, "roles", "Message 2"),
        ({"conversations": [{"role": "tool", "content": "Q"}]}, "roles", "'tool'"),
        ({"conversations": []}, "form", "no list"),
        ({"text": "Q"}, "form", "no list"),
        (["Q", "A"], "form", "list"),
        (talk("Q", "A", image=""), None, ""),
        (talk("Q", "A", image=7), "form", "no path"),
        (talk("Q", "A", image="https://example.org/a.png"), "media", "https"),
        (talk("Q", "A", image="data:image/png,abc"), "media", "data URL"),
        (talk("Q", "A", image="data:image/png;base64,§"), "media", "base64"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "form", "'audio'"),
        ({"messages": [{"role": "user", "content": 5}]}, "form", "int"),
        (
            {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": [{"image": "a.png"}]}]},
            "form",
            "assistant's",
        ),
    ],
)
def test_faults_name_what_is_wrong(write_data: Write, entry: Any, kind: str | None, said: str) -> None:
    sample = only(write_data(entry))
    if kind is None:
        assert sample.fault is None
        return
    assert sample.fault is not None
    assert (sample.fault.kind, sample.fault.line) == (kind, 2)
    assert said in str(sample.fault)
    assert str(sample.fault).startswith("line 2: ")


def test_pictures_without_use_and_marks_that_are_text_are_noted(write_data: Write) -> None:
    sample = only(write_data(talk("<image_00>\nQ", "A", image={"<image_00>": "a.png", "<image_01>": "b.png"})))
    assert sample.notes == ("1 of its pictures or videos have no mark in the text and are not used.",)
    plain = {"messages": [{"role": "user", "content": "Explain <image> in SVG"}, {"role": "assistant", "content": "A"}]}
    sample = only(write_data(plain))
    assert sample.messages[0].text == "Explain <image> in SVG"
    assert sample.notes == ("1 marks in the text have no picture and are read as text.",)


def test_lines_are_those_the_entries_begin_in(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    entry = json.dumps(talk("Q", "A"))
    path.write_text(f"\ufeff[\n{entry}, {entry},\n\n{json.dumps(talk('Q', 'A'), indent=2)},\n{entry}\n]\n", "utf-8")
    lines = [sample.line for sample in read_samples(path)]
    assert lines[:3] == [2, 2, 4]
    assert lines[3] == 4 + json.dumps(talk("Q", "A"), indent=2).count("\n") + 1


def test_a_bad_line_of_json_lines_spoils_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    good = json.dumps(talk("Q\u2028still line 1", "A"), ensure_ascii=False)
    path.write_text(f"{good}\n{{broken\n\n{good}\n", "utf-8")
    samples = read_samples(path)
    assert [(sample.line, sample.fault is None) for sample in samples] == [(1, True), (2, False), (4, True)]
    assert "Not JSON" in str(samples[1].fault)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no entry"), ("[]", "no entry"), ("[{}\n{}]", "line 2"), ("[{}", "line 1"), ('[{"a": }]', "line 1")],
)
def test_a_file_that_is_no_data_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_samples(path)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_samples(tmp_path / "none.json")
    path = tmp_path / "data.json"
    path.write_bytes(b'["\xff"]')
    with pytest.raises(DataError, match="UTF-8"):
        read_samples(path)


def test_what_stands_behind_a_list_is_said(tmp_path: Path) -> None:
    """Two files put one behind the other."""
    path = tmp_path / "data.json"
    entry = json.dumps([talk("What?", "A dog.")])
    path.write_text(f"{entry}\n{entry}\n", "utf-8")
    with pytest.raises(DataError, match="Extra data in line 2"):
        read_samples(path)
    path.write_text(f"{entry}\n\n", "utf-8")
    assert only(path).fault is None


def test_a_system_text_beside_the_messages_goes_first(write_data: Write) -> None:
    sample = only(write_data(talk("What?", "A dog.", system="Be brief.")))
    assert sample.messages[0] == Message("system", (Text("Be brief."),))
    assert [message.role for message in sample.messages] == ["system", "user", "assistant"]
    assert fault_of(write_data(talk("What?", "A dog.", system=["Be brief."]))).kind == "form"


def test_texts_among_parts_have_marks_too(write_data: Write, tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Look at <image> here"}]},
        {"role": "assistant", "content": "A dog."},
    ]
    picture = Image(tmp_path / "a.jpg")
    assert first(write_data({"images": ["a.jpg"], "messages": messages})) == (
        Text("Look at"),
        picture,
        Text("here"),
    )
    inline = [{"type": "image", "image": "a.jpg"}, *messages[0]["content"]]
    path = write_data({"messages": [{"role": "user", "content": inline}, messages[1]]})
    assert first(path) == (picture, Text("Look at <image> here"))
    assert only(path).notes == ("1 marks in the text have no picture and are read as text.",)


def test_a_role_of_another_type_spoils_its_line_alone(write_data: Write) -> None:
    broken = {"messages": [{"role": ["user"], "content": "What?"}, {"role": "assistant", "content": "A dog."}]}
    samples = read_samples(write_data(broken, talk("What?", "A dog.")))
    assert [sample.fault and sample.fault.kind for sample in samples] == ["roles", None]
