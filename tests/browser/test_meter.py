"""The line under the message box, and the way out of a turn for which there was no room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser


def meter(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("group", name="Before sending")


def test_what_it_says_is_what_the_answer_took(open_chat, examples: Path) -> None:
    chat = open_chat("tiny")
    chat.attach(examples / "pair_1.png")
    chat.write("What is it?")
    expect(meter(chat)).to_contain_text(re.compile(r"Prompt [\d,]+ of [\d,]+ tokens.*attachments 320.*memory .* free"))
    told = re.search(r"Prompt ([\d,]+) of", meter(chat).inner_text())
    assert told
    chat.shoot("meter")
    chat.send_button.click()
    expect(chat.footers).to_have_count(1)
    chat.idle()
    chat.messages.last.get_by_role("button", name="What the model saw").click()
    expect(chat.page.get_by_role("dialog")).to_contain_text(f"{told[1]} of ")
    chat.page.keyboard.press("Escape")
    chat.write("And now?")
    expect(meter(chat)).to_contain_text("first token in about")


def test_a_turn_without_room_shows_what_to_try_and_retries(chat: ChatPage, examples: Path) -> None:
    chat.ask("before")
    chat.attach(examples / "pair_1.png")
    chat.send("/oom now")
    failed = chat.messages.last
    expect(failed).to_contain_text("ran out of memory")
    chat.idle()
    chat.shoot("meter_oom")
    failed.get_by_role("button", name="4 slices per image").click()
    expect(chat.page.get_by_role("spinbutton", name="Max Slices")).to_have_value("4")
    failed.get_by_role("button", name="Leave out the first turns: 1").click()
    failed.get_by_role("button", name="Retry").click()
    expect(chat.messages.last).to_contain_text("Message 1")
    chat.idle()


def test_what_a_device_had_no_room_for_is_answered_with_what_the_buttons_offer(open_chat, tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    Image.linear_gradient("L").resize((1344, 1344)).convert("RGB").save(picture)  # more slices than there is room for
    chat = open_chat("short")
    chat.attach(picture)
    chat.send("What is it?")
    failed = chat.messages.last
    expect(failed).to_contain_text("ran out of memory")
    chat.idle()
    fewer = failed.get_by_role("button", name=re.compile(r"^\d+ slices per image$")).first
    number = fewer.inner_text().split()[0]
    fewer.click()
    expect(chat.page.get_by_role("spinbutton", name="Max Slices")).to_have_value(number)
    chat.shoot("short_of_memory")
    failed.get_by_role("button", name="Retry").click()
    expect(chat.footers).to_have_count(1)
    chat.idle()
    expect(chat.messages).to_have_count(2)
    expect(chat.messages.last).not_to_contain_text("ran out of memory")
    expect(chat.box).to_have_value("")
    chat.messages.last.get_by_role("button", name="What the model saw").click()
    expect(chat.page.get_by_role("dialog").locator("img, canvas, svg").first).to_be_visible()


def test_an_engine_elsewhere_is_not_guessed_at(chat: ChatPage) -> None:
    chat.write("hello")
    expect(chat.page.get_by_text("not known here")).to_be_visible()


def test_measuring_takes_nothing_away_from_who_types(open_chat, examples: Path) -> None:
    chat = open_chat("tiny")
    chat.attach(examples / "pair_1.png")
    words = "What is to be seen in this picture, and where in it is it?"
    for number, word in enumerate(words.split(" ")):
        chat.box.press_sequentially(" " * (number > 0) + word)
        chat.page.evaluate("window.callPage('measure', {})")
    expect(meter(chat)).to_be_visible()
    expect(chat.box).to_have_value(words)
    expect(chat.send_button).to_be_enabled()
