"""Few Shot, How to use, languages, a phone, and names for everything that can be pressed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def add_example(chat, picture: Path, user: str, assistant: str, turns: int) -> None:
    chat.page.locator(".few-shot input[type=file]").set_input_files(picture)
    expect(chat.page.locator(".few-shot img")).to_be_visible()
    chat.page.get_by_label("User").fill(user)
    chat.page.get_by_label("Assistant").fill(assistant)
    chat.button("Add Example").click()
    expect(chat.messages).to_have_count(2 * turns)
    expect(chat.page.get_by_label("Assistant")).to_have_value("")
    expect(chat.page.locator(".few-shot img")).to_have_count(0)


def test_few_shot_with_two_examples(any_chat, examples: Path) -> None:
    any_chat.tab("Few Shot")
    add_example(any_chat, examples / "shot_1.png", "What is it?", "circle: red", 1)
    add_example(any_chat, examples / "shot_2.png", "What is it?", "star: blue", 2)
    expect(any_chat.message(1)).to_contain_text("circle: red")
    expect(any_chat.message(1)).to_contain_text("Example")
    expect(any_chat.message(2).locator("img")).to_have_count(1)

    any_chat.page.locator(".few-shot input[type=file]").set_input_files(examples / "shot_3.png")
    expect(any_chat.page.locator(".few-shot img")).to_be_visible()
    any_chat.page.get_by_label("User").fill("What is it?")
    any_chat.button("Generate").click()
    expect(any_chat.footers).to_have_count(1)
    expect(any_chat.messages).to_have_count(6)
    expect(any_chat.button("Generate")).to_be_visible()
    expect(any_chat.page.get_by_label("User")).to_have_value("")


def test_generate_can_be_stopped(chat) -> None:
    chat.tab("Few Shot")
    chat.page.get_by_label("User").fill("/long")
    chat.button("Generate").click()
    expect(chat.message(1)).to_contain_text("word 1")
    chat.stop_button.click()
    expect(chat.button("Generate")).to_be_visible()
    expect(chat.message(1)).to_contain_text("Stopped")


def test_an_example_without_an_answer_stays_in_the_fields(chat) -> None:
    chat.tab("Few Shot")
    chat.page.get_by_label("User").fill("Count.")
    chat.button("Add Example").click()
    expect(chat.page.get_by_test_id("toast-body")).to_contain_text("The answer is empty")
    expect(chat.page.get_by_label("User")).to_have_value("Count.")


def test_the_first_page_is_light(open_chat) -> None:
    # A context that no other test has, which has cached nothing; what comes from elsewhere `open_chat` notes.
    page = open_chat("echo", timezone_id="Asia/Shanghai").page
    sizes = page.evaluate("""() => ["navigation", "resource"].flatMap(
        (kind) => performance.getEntriesByType(kind).map((entry) => entry.transferSize))""")
    assert len(sizes) < 250, "the browser notes no more, so the sum would be too small"
    assert 1_000_000 < sum(sizes) < 3_500_000


def test_switching_tabs_loses_nothing(chat, examples: Path) -> None:
    chat.ask("kept")
    chat.attach(examples / "pair_1.png")
    chat.write("a draft")
    chat.tab("Few Shot")
    chat.page.get_by_label("User").fill("a question")
    chat.tab("How to use")
    expect(chat.messages.first).to_be_hidden()
    chat.tab("Few Shot")
    expect(chat.page.get_by_label("User")).to_have_value("a question")
    chat.tab("Chat")
    expect(chat.box).to_have_value("a draft")
    expect(chat.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(1)
    expect(chat.message(0)).to_contain_text("kept")


EXAMPLES = {
    "one_image": ("What colour is the star?", "image 1 of 320x240 px"),
    "images": ("Which image has the red circle, the first or the second?", "image 2 of 480x360 px"),
    "reading": ("Read the text.", "image 1 of 480x240 px"),
    "video": ("Does the ball move left or right?", "video 1 of 10 frames"),
}


def test_each_example_fills_the_message_box(chat) -> None:
    for example, (text, got) in EXAMPLES.items():
        chat.tab("How to use")
        chat.page.locator(f".try-{example}").click()
        expect(chat.box).to_have_value(text)
        expect(chat.messages).to_have_count(0)  # each begins a conversation
        expect(chat.page.locator("[class*=attachment-list-card-status-done]").first).to_be_visible()
        chat.send_button.click()
        expect(chat.message(1)).to_contain_text(got)
        expect(chat.footers).to_have_count(1)
        chat.idle()


def test_the_few_shot_example(chat) -> None:
    chat.tab("How to use")
    chat.page.locator(".try-examples").click()
    expect(chat.messages).to_have_count(4)
    expect(chat.page.get_by_label("User")).to_have_value("What is this?")
    expect(chat.page.locator(".few-shot img")).to_be_visible()
    chat.button("Generate").click()
    expect(chat.message(5)).to_contain_text("Message 3")
    expect(chat.footers).to_have_count(1)


def test_an_example_begins_a_conversation_of_its_own(chat) -> None:
    chat.ask("hello there")
    chat.tab("How to use")
    chat.page.locator(".try-one_image").click()
    expect(chat.box).to_have_value("What colour is the star?")
    expect(chat.messages).to_have_count(0)
    chat.send_button.click()
    expect(chat.message(1)).to_contain_text("image 1 of 320x240 px")
    chat.idle()
    chat.tab("How to use")
    chat.page.locator(".try-examples").click()
    expect(chat.messages).to_have_count(4)
    chat.page.locator(".talk-open").filter(has_text="hello there").click()
    chat.tab("Chat")
    expect(chat.messages).to_have_count(2)
    expect(chat.message(0)).to_contain_text("hello there")


def test_every_button_has_a_name(chat, examples: Path) -> None:
    chat.ask("hello", examples / "pair_1.png")
    chat.attach(examples / "pair_1.png")
    nameless = chat.page.evaluate("""() => [...document.querySelectorAll('button, [role=button], a[href]')]
        .filter(e => e.offsetParent && !e.querySelector(':scope > button'))
        .filter(e => !(e.getAttribute('aria-label') || e.title || e.textContent.trim()))
        .map(e => e.outerHTML.slice(0, 200))""")
    assert nameless == []


def test_chinese(open_chat) -> None:
    page = open_chat("echo", locale="zh-CN").page
    expect(page.get_by_role("tab", name="使用说明")).to_be_visible()
    expect(page.get_by_role("radio", name="束搜索")).to_be_visible()
    expect(page.get_by_role("slider", name="温度")).to_be_visible()
    expect(page.get_by_text("聊聊图片和视频")).to_be_visible()


def test_phone(open_chat, examples: Path) -> None:
    chat = open_chat("echo", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    chat.ask("hello", examples / "shapes.png")
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(chat.message(0).get_by_role("button", name="Edit")).to_be_visible()


def test_two_pages_do_not_see_each_other(open_chat) -> None:
    first, second = open_chat(), open_chat()
    first.send("/long")
    expect(first.stop_button).to_be_visible()
    second.ask("alone")
    expect(second.messages).to_have_count(2)
    expect(first.stop_button).to_be_visible()
    second.button("Clear history").click()
    expect(second.messages).to_have_count(0)
    first.stop_button.click()
    first.idle()


def test_noise_is_announced(open_chat) -> None:
    chat = open_chat("untrained")
    expect(chat.page.locator(".status-noise")).to_contain_text("never trained")
    expect(open_chat("tiny").page.locator(".status-noise")).to_have_count(0)


def test_what_is_typed_while_few_shot_is_answered_stays(chat, examples: Path) -> None:
    chat.tab("Few Shot")
    chat.page.locator(".few-shot input[type=file]").set_input_files(examples / "shot_1.png")
    expect(chat.page.locator(".few-shot img")).to_be_visible()
    user = chat.page.get_by_label("User")
    user.fill("/slow one")
    chat.button("Generate").click()
    expect(chat.stop_button).to_be_visible()
    user.fill("typed meanwhile")
    expect(chat.page.locator(".few-shot img")).to_have_count(0)  # that was asked
    expect(user).to_have_value("typed meanwhile")


def test_an_empty_conversation_offers_examples(chat) -> None:
    chat.page.locator(".welcome-prompts").get_by_role("button", name="Several images").click()
    expect(chat.box).to_have_value("Which image has the red circle, the first or the second?")
    chat.send_button.click()
    expect(chat.message(1)).to_contain_text("image 1 of 480x360 px, image 2 of 480x360 px")
    chat.idle()
    chat.button("New conversation").click()
    example = chat.page.locator(".welcome-prompts").get_by_role("button", name="Text in a picture")
    example.focus()
    chat.page.keyboard.press("Enter")
    expect(chat.box).to_have_value("Read the text.")
