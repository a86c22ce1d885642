"""Which of several pictures a box belongs to, rule by rule."""

from __future__ import annotations

import pytest

from app.box_owner import owners
from app.boxes import read_marks

BOX = "<box>1 2 3 4</box>"


@pytest.mark.parametrize(
    ("answer", "question", "pictures", "expected"),
    [
        # the picture that the answer named last
        (f"In image 2 there is {BOX}; in image 1 {BOX}{BOX} and {BOX}.", "", 2, [2, 1, 1]),
        (f"The second picture has {BOX}.", "", 3, [2]),
        (f"[image 3]: {BOX}", "", 3, [3]),
        (f"第二张图：{BOX}，图 1：{BOX}", "", 2, [2, 1]),
        (f"The 2nd photo: {BOX}", "", 2, [2]),
        (f"{BOX} and in image 2 {BOX}", "", 2, [1, 2]),
        # a picture that is not there is none
        (f"image 7: {BOX}", "", 2, [1]),
        # the only one that the question names
        (BOX, "Where is it in the second image?", 2, [2]),
        (BOX, "Where is it in\n[image 2]", 2, [2]),
        (BOX, "Compare image 1 and image 2.", 2, [1]),
        (f"Image 1: {BOX}", "Where is it in image 2?", 2, [1]),
        # as many lines as pictures
        (f"{BOX}\n{BOX}", "", 2, [1, 2]),
        (f"Here:\n\n- {BOX}, {BOX}\n- {BOX}", "", 2, [1, 1, 2]),
        (f"{BOX}\n{BOX}\n{BOX}", "", 2, [1, 1, 1]),
        # else the first
        (BOX, "Where?", 3, [1]),
        (BOX, "Where?", 1, [1]),
        ("nothing", "Where?", 1, []),
    ],
)
def test_the_rule(answer: str, question: str, pictures: int, expected: list[int]) -> None:
    assert owners(read_marks(answer), question, pictures) == expected
