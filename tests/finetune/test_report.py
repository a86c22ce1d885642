from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from finetune.report import SIDE, Answered, thumbnail, write_page

EVIL = "<script>alert('&')</script>\"><img src=x>"


class Reader(HTMLParser):
    """Collects tags, text and the addresses that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(tmp_path: Path, *samples: Answered) -> Reader:
    write_page(tmp_path / "samples.html", "Answers after step 3", samples)
    reader = Reader()
    reader.feed((tmp_path / "samples.html").read_text("utf-8"))
    return reader


def test_everything_is_escaped_and_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    picture = Image.new("RGB", (20, 10), "red")
    got = page(tmp_path, Answered(EVIL, [picture], [("user", EVIL), ("system", EVIL)], EVIL, EVIL + "!"))
    assert "script" not in got.tags and got.tags.count("img") == 1
    assert got.text.count(EVIL) == 5
    assert all(address.startswith("data:image/jpeg;base64,") for address in got.addresses)
    assert not re.search(r"https?://", (tmp_path / "samples.html").read_text("utf-8"))


def test_how_many_answers_are_as_expected(tmp_path: Path) -> None:
    right = Answered("1", [], [("user", "?")], "blip", " blip\n")
    wrong = Answered("2", [], [("user", "?")], "blip", "blop")
    assert "1 of 2 answers are word for word as expected." in page(tmp_path, right, wrong).text
    assert right.same and not wrong.same


def test_thumbnails() -> None:
    url = thumbnail(Image.new("RGBA", (SIDE * 4, SIDE), (0, 0, 255, 10)))
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))
    assert picture.format == "JPEG" and picture.size == (SIDE, SIDE // 4)
    small = thumbnail(Image.new("L", (8, 4)))
    assert Image.open(io.BytesIO(base64.b64decode(small.split(",", 1)[1]))).size == (8, 4)
