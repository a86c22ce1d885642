from __future__ import annotations

from pathlib import Path

import pytest

from app.messages import Image, Text, Video
from app.placement import attachments, marked_text, place_attachments

A, B, C = (Image(Path(f"{name}.png")) for name in "abc")
V, W = (Video(Path(f"{name}.mp4")) for name in "vw")


def test_text_alone_is_kept_as_typed():
    assert place_attachments("  two\n words ", []) == (Text("  two\n words "),)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_blank_text_is_no_part(text):
    assert place_attachments(text, [A]) == (A,)
    assert place_attachments(text, []) == ()


def test_unmentioned_attachments_come_first_in_their_order():
    assert place_attachments("what?", [A, V, B]) == (A, V, B, Text("what?"))


def test_a_mark_puts_the_attachment_there():
    assert place_attachments("Is [image 1] older than\n[image 2]?", [A, B]) == (
        Text("Is"), A, Text("older than"), B, Text("?"),
    )  # fmt: skip


def test_images_and_videos_are_numbered_apart():
    assert place_attachments("[video 2] then [image 1]", [V, A, W]) == (V, W, Text("then"), A)


def test_marks_may_change_the_order():
    assert place_attachments("[image 2][image 1]", [A, B, C]) == (C, B, A)


@pytest.mark.parametrize("mark", ["[IMAGE 1]", "[Image1]", "[ image  1 ]", "[图 1]", "[图片1]", "[图片 01]"])
def test_spellings_of_an_image(mark):
    assert place_attachments(f"a {mark} b", [A]) == (Text("a"), A, Text("b"))


def test_chinese_video():
    assert place_attachments("看[视频 1]。", [V]) == (Text("看"), V, Text("。"))


@pytest.mark.parametrize("mark", ["[image 0]", "[image 2]", "[video 1]", "[image 99999]", "[image]", "image 1"])
def test_a_mark_of_nothing_stays_text(mark):
    assert place_attachments(f"see {mark} here", [A]) == (A, Text(f"see {mark} here"))


def test_the_second_mention_stays_text():
    assert place_attachments("[image 1] and [image 1]", [A]) == (A, Text("and [image 1]"))


def test_only_one_adjoining_whitespace_goes():
    assert place_attachments(" a\r\n\n[image 1]\r\n  b ", [A]) == (Text(" a\r\n"), A, Text("  b "))


@pytest.mark.parametrize(
    "parts",
    [
        (A, Text("what?")),
        (Text("what?"), A),
        (A, V, Text("first"), B, W, Text("second"), C),
        (V, A, Text("only [image 1] again")),
        (Text("see [image 3]"), A),
        (A, B),
        (Text("nothing attached"),),
    ],
)
def test_marked_text_places_the_same_again(parts):
    assert place_attachments(marked_text(parts), attachments(parts)) == parts


def test_marked_text_of_leading_attachments_is_the_plain_text():
    assert marked_text((A, V, Text("what?"))) == "what?"
