"""The dialog "What the model saw"."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import ChatPage
from tests.embedded import QUERIES

pytestmark = pytest.mark.browser


def opened(chat: ChatPage) -> Locator:
    """The dialog of the last answer."""
    chat.messages.last.get_by_role("button", name="What the model saw").click()
    dialog = chat.page.get_by_role("dialog", name="What the model saw")
    expect(dialog).to_be_visible()
    return dialog


def test_pictures_frames_prompt_and_settings_are_shown(open_chat, examples: Path) -> None:
    chat = open_chat("tiny")
    chat.ask("What is it?", examples / "pair_1.png", examples / "ball.mp4")
    chat.ask("And now?")
    footer = chat.footers.last.inner_text()
    dialog = opened(chat)
    expect(dialog.get_by_role("heading", name="Image 1")).to_be_visible()
    expect(dialog.get_by_role("heading", name=re.compile(r"Video 1, \d+ frames"))).to_be_visible()
    prompt = dialog.locator("pre")
    expect(prompt).to_contain_text("<|im_start|>user")
    expect(prompt).to_contain_text("And now?")
    expect(prompt.locator(".seen-features").first).to_contain_text(f"Image 1: {QUERIES} tokens")
    expect(dialog.get_by_text("What is it?")).to_be_visible()
    expect(dialog.get_by_text("Max Slices")).to_be_visible()
    reused = re.search(r"([\d,]+) tokens reused", footer)
    assert reused
    expect(dialog.locator("dl").first).to_contain_text(reused[1])
    widths = dialog.locator("img").evaluate_all("all => all.map(image => image.naturalWidth)")
    assert all(widths), "a picture is broken"
    chat.shoot("seen_dialog")
    chat.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(chat.messages.last.get_by_role("button", name="What the model saw")).to_be_focused()


def test_the_grid_of_a_large_picture_is_drawn_on_it(open_chat, tmp_path: Path) -> None:
    from PIL import Image

    Image.effect_noise((1200, 800), 60).convert("RGB").save(tmp_path / "large.png")
    chat = open_chat("tiny")
    chat.ask("What is it?", tmp_path / "large.png")
    dialog = opened(chat)
    expect(dialog.locator(".seen-cell")).to_have_count(4)
    expect(dialog.get_by_text("Slices, 2 × 2")).to_be_visible()
    image = dialog.locator(".seen-picture img").bounding_box()
    last = dialog.locator(".seen-cell").last.bounding_box()
    assert image and last
    assert last["x"] + last["width"] == pytest.approx(image["x"] + image["width"], abs=2)
    assert last["y"] + last["height"] == pytest.approx(image["y"] + image["height"], abs=2)


def test_a_backend_that_does_not_know_says_so(chat: ChatPage) -> None:
    chat.ask("hello")
    dialog = opened(chat)
    expect(dialog).to_contain_text("not known here")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_an_answer_that_is_gone_and_nonsense_open_nothing(chat: ChatPage) -> None:
    chat.ask("hello")
    for call in ("{}", "[1]", "no", '{"index": 99}', '{"index": true}'):
        chat.page.evaluate(
            "text => { window.pageCalls.seen = text; document.querySelector('.bridge-seen').click(); }", call
        )
        expect(chat.page.get_by_test_id("toast-body")).to_be_visible()
        chat.page.get_by_test_id("toast-body").get_by_role("button").first.click()
        expect(chat.page.get_by_test_id("toast-body")).to_have_count(0)
    expect(chat.page.get_by_role("dialog")).to_have_count(0)


def test_an_eye_that_opens_nothing_can_be_pressed_again(chat: ChatPage) -> None:
    chat.ask("hello")
    eye = chat.messages.last.get_by_role("button", name="What the model saw")
    chat.page.evaluate("() => { window.ask = callPage; window.callPage = (name) => ask(name, { index: 99 }); }")
    eye.click()
    expect(chat.page.get_by_test_id("toast-body")).to_be_visible()
    expect(chat.page.locator(".seen-open[aria-busy]")).to_have_count(0)
    chat.page.evaluate("() => { window.callPage = window.ask; }")
    opened(chat)


def test_it_opens_again(chat: ChatPage) -> None:
    chat.ask("hello")
    for _ in range(3):
        dialog = opened(chat)
        chat.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(chat.messages.last.get_by_role("button", name="What the model saw")).to_be_focused()


def test_it_closes_only_by_a_click_beside_it(chat: ChatPage) -> None:
    chat.ask("hello")
    dialog = opened(chat)
    place, text = dialog.bounding_box(), dialog.get_by_role("heading").first.bounding_box()
    assert place and text
    chat.page.mouse.move(text["x"] + 4, text["y"] + 4)
    chat.page.mouse.down()
    chat.page.mouse.move(place["x"] - 20, text["y"] + 4)
    chat.page.mouse.up()
    expect(dialog).to_be_visible()
    chat.page.mouse.click(place["x"] - 20, place["y"] + 6)
    expect(dialog).to_have_count(0)
