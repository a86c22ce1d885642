"""The line under a message and under a few-shot question, and the way out of a turn for which there was no room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.conftest import ChatPage
from tests.embedded import QUERIES

pytestmark = pytest.mark.browser


def meter(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("group", name="Before sending")


def count(chat: ChatPage) -> str:
    """The tokens of the prompt that it tells, as it writes them."""
    found = re.search(r"Prompt ([\d,]+) of", meter(chat).inner_text())
    assert found
    return found[1]


def test_what_it_says_is_what_the_answer_took(open_chat, examples: Path) -> None:
    chat = open_chat("tiny")
    chat.attach(examples / "pair_1.png")
    wanted = rf"Prompt [\d,]+ of [\d,]+ tokens.*attachments {5 * QUERIES}.*memory .* free"
    expect(meter(chat)).to_contain_text(re.compile(wanted))
    pictures_alone = count(chat)
    chat.write("What is it?")
    expect(meter(chat)).not_to_contain_text(f"Prompt {pictures_alone} of")
    told = count(chat)
    chat.shoot("meter")
    chat.send_button.click()
    expect(chat.footers).to_have_count(1)
    chat.idle()
    chat.messages.last.get_by_role("button", name="What the model saw").click()
    expect(chat.page.get_by_role("dialog")).to_contain_text(f"{told} of ")
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
        chat.page.evaluate("window.callPage('measure-chat', {})")
    expect(meter(chat)).to_be_visible()
    expect(chat.box).to_have_value(words)
    expect(chat.send_button).to_be_enabled()


def test_it_follows_what_is_sent_and_what_is_typed_during_an_answer(chat: ChatPage, examples: Path) -> None:
    told = chat.page.get_by_text("not known here")
    chat.attach(examples / "pair_1.png")
    chat.write("/long 1")
    expect(told).to_be_visible()
    chat.send_button.click()
    expect(chat.stop_button).to_be_visible()
    expect(told).to_have_count(0)
    chat.write("and then?")
    chat.page.wait_for_timeout(1000)  # longer than its pause
    chat.stop_button.click()
    chat.idle()
    expect(told).to_be_visible()


def test_turns_that_are_left_out_go_with_the_conversation(chat: ChatPage) -> None:
    chat.ask("before")
    chat.send("/oom now")
    expect(chat.messages.last).to_contain_text("ran out of memory")
    chat.idle()
    expect(chat.box).to_have_value("/oom now")  # put back
    chat.messages.last.get_by_role("button", name="Leave out the first turns: 1").click()
    expect(chat.page.get_by_text("Turns left out: 1")).to_be_visible()
    chat.write("")
    chat.page.keyboard.press("Delete")
    expect(chat.page.get_by_text("not known here")).to_have_count(0)
    expect(chat.page.get_by_text("Turns left out: 1")).to_be_visible()
    chat.button("Clear history").click()
    expect(chat.messages).to_have_count(0)
    expect(chat.page.get_by_text("Turns left out: 1")).to_have_count(0)


def test_a_measurement_that_comes_late_does_not_stay_under_an_empty_box(chat: ChatPage) -> None:
    told, asked, held = chat.page.get_by_text("not known here"), "**/queue/join*", []

    def hold(route) -> None:
        late = not held and "a question" in (route.request.post_data or "")
        held.append(route) if late else route.continue_()

    chat.page.route(asked, hold)
    with chat.page.expect_request(lambda request: "join" in request.url and "a question" in (request.post_data or "")):
        chat.write("a question")
    chat.write("")
    chat.page.keyboard.press("Delete")
    chat.page.wait_for_timeout(1000)  # longer than its pause
    held[0].continue_()
    expect(told).to_be_visible()
    expect(told).to_have_count(0)


def test_it_follows_the_frames_that_are_chosen(open_chat, examples: Path) -> None:
    chat = open_chat("tiny")
    chat.attach(examples / "ball.mp4")
    chat.write("Where to?")
    expect(meter(chat)).to_contain_text(f"attachments {10 * QUERIES}")
    chat.page.locator(".bench-frame").first.click()
    expect(meter(chat)).to_contain_text(f"attachments {9 * QUERIES}")


def test_a_slider_asks_nothing_where_there_is_nothing_to_measure(chat: ChatPage) -> None:
    chat.page.evaluate("""() => {
        window.asked = [];
        const call = window.callPage;
        window.callPage = (name, values) => { window.asked.push(name); call(name, values); };
    }""")
    chat.page.get_by_role("slider", name="Temperature").press("ArrowRight")
    chat.page.wait_for_timeout(1000)  # longer than the meter's pause
    assert chat.page.evaluate("window.asked") == []


def test_a_few_shot_question_is_measured_with_its_examples(open_chat, examples: Path) -> None:
    chat = open_chat("tiny")
    chat.tab("Few Shot")
    picture, user = chat.page.locator(".few-shot input[type=file]"), chat.page.get_by_label("User")

    def write(file: Path) -> int:
        user.fill("What is it?")  # first, for a measurement with the picture to be one with the text
        picture.set_input_files(file)
        expect(chat.page.locator(".few-shot img")).to_be_visible()
        expect(meter(chat)).to_contain_text(f"attachments {5 * QUERIES}")
        told = re.search(r"Prompt ([\d,]+) of", meter(chat).inner_text())
        assert told
        return int(told[1].replace(",", ""))

    alone = write(examples / "shot_1.png")
    chat.page.get_by_label("Assistant").fill("circle: red")
    chat.button("Add Example").click()
    expect(chat.messages).to_have_count(2)
    expect(meter(chat)).to_have_count(0)  # nothing is written
    both = write(examples / "shot_3.png")
    assert both > 10 * QUERIES and both > alone + 5 * QUERIES
    chat.shoot("meter_few_shot")
    chat.tab("Chat")
    expect(meter(chat)).to_have_count(0)
    chat.tab("Few Shot")
    chat.button("Generate").click()
    expect(chat.footers).to_have_count(1)
    expect(user).to_have_value("")
    expect(meter(chat)).to_have_count(0)
    chat.messages.last.get_by_role("button", name="What the model saw").click()
    expect(chat.page.get_by_role("dialog")).to_contain_text(f"{both:,} of ")


def test_an_example_too_many_is_left_out_by_a_button(open_chat) -> None:
    chat = open_chat("short")
    chat.tab("Few Shot")
    for number in (1, 2):
        chat.page.get_by_label("User").fill("long words " * 600)
        chat.page.get_by_label("Assistant").fill("yes")
        chat.button("Add Example").click()
        expect(chat.messages).to_have_count(2 * number)
    chat.page.get_by_label("User").fill("long words " * 600)
    chat.shoot("meter_few_shot_over")
    chat.page.get_by_role("button", name="Leave out the first turns: 1").click()
    expect(chat.page.locator(".meter-shots").get_by_text("Turns left out: 1")).to_be_visible()
