"""Many pages on one batched engine: every page gets its own answer, and a second question reuses the first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from tests.browser.conftest import DEMO, SERVERS, TINY

pytestmark = pytest.mark.browser

COLOURS = {
    "red": (225, 30, 35),
    "orange": (245, 140, 20),
    "yellow": (245, 215, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 225),
    "purple": (140, 50, 175),
    "black": (15, 15, 15),
    "pink": (250, 150, 190),
}


@pytest.fixture(scope="module", autouse=True)
def server() -> None:
    SERVERS["batched"] = [*DEMO, "--model", str(TINY), "--device", "cpu", "--engine", "batched"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A circle of each colour."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, colour in COLOURS.items():
        picture = Image.new("RGB", (160, 160), (255, 255, 255))
        ImageDraw.Draw(picture).ellipse((35, 35, 125, 125), fill=colour)
        picture.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in COLOURS}


@pytest.mark.parametrize("count", [3, pytest.param(len(COLOURS), marks=pytest.mark.thorough)])
def test_conversations_at_once_are_not_mixed_up(open_chat, pictures: dict[str, Path], count: int) -> None:
    # Users of their own: pages of one browser share six connections.
    chats = {colour: open_chat("batched", color_scheme="light") for colour in list(COLOURS)[:count]}
    for colour, chat in chats.items():
        chat.attach(pictures[colour])
        chat.write("What colour is the circle?")
    for chat in chats.values():
        chat.send_button.click()
    for colour, chat in chats.items():
        expect(chat.footers).to_have_count(1)
        expect(chat.messages.last).to_contain_text(colour)
    # A second question, again of all at once, starts from what the first left.
    for chat in chats.values():
        chat.idle()
        chat.send("And its shape?")
    for chat in chats.values():
        expect(chat.footers).to_have_count(2)
        expect(chat.messages.last).to_contain_text("circle")
        expect(chat.footers.last).to_have_text(re.compile(r"\d+ tokens reused · 1 slice reused"))


def test_a_page_that_is_left_frees_its_place(open_chat, pictures: dict[str, Path]) -> None:
    left, stays = open_chat("batched"), open_chat("batched")
    left.attach(pictures["red"])
    left.send("Describe the picture.")
    left.page.goto("about:blank")
    left.errors.clear()  # Gradio reports the streams of the page that was left as aborted
    expect(stays.ask("What colour is the circle?", pictures["blue"])).to_contain_text("blue")
