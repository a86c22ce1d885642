"""The main path, on the echo and on the tiny model: send, stream, stop, go on, regenerate, edit, delete, clear."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser


def test_two_images_and_text(any_chat, examples: Path) -> None:
    answer = any_chat.ask("What has changed?", examples / "pair_1.png", examples / "pair_2.png")

    pictures = any_chat.message(0).get_by_role("img")
    names = [picture.get_attribute("alt") for picture in pictures.all() if picture.get_attribute("alt")]
    assert names == ["image 1.png", "image 2.png"]
    sizes = [picture.evaluate("e => e.naturalWidth") for picture in any_chat.message(0).locator("img").all()]
    assert sizes == [480, 480]
    expect(any_chat.message(0)).to_contain_text("[image 1] [image 2]")
    expect(any_chat.message(0)).to_contain_text("What has changed?")
    expect(answer).to_contain_text("vision tokens")
    expect(any_chat.box).to_have_value("")


def test_a_video(any_chat, examples: Path) -> None:
    answer = any_chat.ask("What happens?", examples / "ball.mp4")

    expect(any_chat.message(0).locator("video")).to_have_count(1)
    expect(any_chat.message(0)).to_contain_text("[video 1]")
    expect(answer).to_contain_text(re.compile(r"[1-9]\d* vision tokens"))


def test_answer_streams(chat) -> None:
    lengths: list[int] = []
    chat.page.expose_function("noteLength", lambda length: lengths.append(length))
    chat.page.evaluate("""() => new MutationObserver(() => {
        const last = [...document.querySelectorAll('.conversation .ms-gr-ant-bubble-start')].at(-1);
        if (last) noteLength(last.textContent.length);
    }).observe(document.body, {childList: true, subtree: true, characterData: true})""")
    chat.ask("/slow one two three")
    assert len({length for length in lengths if length > 20}) > 3


def test_a_late_emptying_of_the_box_spares_what_was_typed_over_the_message_sent(chat) -> None:
    chat.ask("first")
    area = chat.page.locator(".message-box textarea").first
    # A slow page: the box still has what was sent while the server is asked to empty it.
    put = """(area, text) => {
        area.value = text;
        area.dispatchEvent(new Event("input", { bubbles: true }));
    }"""
    area.evaluate(put, "first")
    chat.write("second")
    area.evaluate(put, "")
    expect(chat.box).to_have_value("second")
    chat.send_button.click()
    expect(chat.message(2)).to_contain_text("second")


def test_text_typed_while_an_answer_streams_stays(chat) -> None:
    chat.send("/slow one two three")
    expect(chat.message(1)).to_contain_text("Message 1")
    text = "the quick brown fox jumps over the lazy dog"
    chat.box.press_sequentially(text)
    expect(chat.footers).to_have_count(1)
    chat.idle()
    expect(chat.box).to_have_value(text)


def write_without_end(chat) -> None:
    """Ask for an answer that takes long: the echo by its first word, the model because repeating is made cheap."""
    set_number(chat, "Top K", "1")
    set_number(chat, "Repetition Penalty", "0.5")
    set_number(chat, "Max New Tokens", "8000")
    chat.send("/long 1")
    expect(chat.stop_button).to_be_visible()


def set_number(chat, name: str, value: str) -> None:
    chat.page.get_by_label(f"number input for {name}").fill(value)
    chat.page.keyboard.press("Tab")


def test_stop_then_go_on(endless_chat) -> None:
    write_without_end(endless_chat)
    expect(endless_chat.message(1)).to_contain_text(re.compile(r"\S"))
    endless_chat.stop_button.click()
    endless_chat.idle()
    expect(endless_chat.message(1)).to_contain_text("Stopped")

    set_number(endless_chat, "Max New Tokens", "24")
    endless_chat.ask("and now")
    expect(endless_chat.messages).to_have_count(4)
    expect(endless_chat.message(1)).to_contain_text("Stopped")


def test_regenerate(endless_chat) -> None:
    endless_chat.ask("first")
    endless_chat.ask("second")
    old = endless_chat.message(3).inner_text()
    endless_chat.page.get_by_label("Seed").fill("5")
    endless_chat.button("Regenerate").click()
    expect(endless_chat.message(3)).not_to_have_text(old, use_inner_text=True)
    endless_chat.idle()
    expect(endless_chat.footers).to_have_count(2)
    expect(endless_chat.messages).to_have_count(4)
    expect(endless_chat.message(2)).to_contain_text("second")


def test_edit_a_question(any_chat, examples: Path) -> None:
    any_chat.ask("see", examples / "pair_1.png")
    any_chat.ask("later")
    question = any_chat.message(0)
    question.get_by_role("button", name="Edit").click()
    question.locator("textarea").fill("look closely")
    question.get_by_role("button", name="Save").click()
    expect(any_chat.messages).to_have_count(2)
    any_chat.idle()
    expect(any_chat.footers).to_have_count(1)
    expect(any_chat.message(0)).to_contain_text("look closely")
    expect(any_chat.message(0).locator("img")).to_have_count(1)


def test_edit_an_answer(chat) -> None:
    chat.ask("say <b>this</b>")
    answer = chat.message(1)
    answer.get_by_role("button", name="Edit").click()
    expect(answer.locator("textarea")).to_have_value(re.compile("Message 1"))
    answer.locator("textarea").fill("A better <ref>answer</ref>")
    answer.get_by_role("button", name="Save").click()
    expect(chat.message(1)).to_contain_text("A better <ref>answer</ref>")
    expect(chat.messages).to_have_count(2)


def test_delete_removes_question_and_answer(chat) -> None:
    chat.ask("first")
    chat.ask("second")
    chat.message(0).get_by_role("button", name="Delete").click()
    chat.page.get_by_role("tooltip").get_by_role("button", name="Delete").click()
    expect(chat.messages).to_have_count(2)
    expect(chat.message(0)).to_contain_text("second")


def test_copy_gives_what_the_model_wrote(open_chat) -> None:
    chat = open_chat("echo", permissions=["clipboard-read", "clipboard-write"])
    chat.ask("a `<b>` and <ref>")
    chat.message(0).get_by_role("button", name="Copy").last.click()
    assert chat.page.evaluate("navigator.clipboard.readText()") == "a `<b>` and <ref>"


def test_clear_while_an_answer_is_written(endless_chat) -> None:
    write_without_end(endless_chat)
    endless_chat.button("Clear history").click()
    expect(endless_chat.messages).to_have_count(0)
    endless_chat.idle()
    set_number(endless_chat, "Max New Tokens", "24")
    endless_chat.ask("again")
    expect(endless_chat.messages).to_have_count(2)


def test_beam_search(any_chat) -> None:
    page = any_chat.page
    slider = lambda name: page.get_by_role("slider", name=name, exact=True)  # noqa: E731
    for name, value in {"Temperature": "0.7", "Top P": "0.8", "Top K": "100", "Repetition Penalty": "1.05"}.items():
        expect(slider(name)).to_have_value(value)
    expect(slider("Num Beams")).to_have_count(0)

    page.get_by_role("radio", name="Beam Search").check()
    expect(slider("Num Beams")).to_have_value("3")
    expect(slider("Repetition Penalty")).to_have_value("1.2")
    for name in ("Temperature", "Top P", "Top K"):
        expect(slider(name)).to_have_count(0)
    expect(page.get_by_label("Seed")).to_have_count(0)
    any_chat.ask("search")

    page.get_by_role("radio", name="Sampling").check()
    expect(slider("Repetition Penalty")).to_have_value("1.05")
    expect(page.get_by_label("Seed")).to_have_value("")


def test_a_changed_penalty_is_kept(chat) -> None:
    chat.page.get_by_label("number input for Repetition Penalty").fill("1.5")
    chat.page.keyboard.press("Tab")
    chat.page.get_by_role("radio", name="Beam Search").check()
    expect(chat.page.get_by_role("slider", name="Num Beams")).to_be_visible()
    expect(chat.page.get_by_role("slider", name="Repetition Penalty")).to_have_value("1.5")


def test_options_reach_the_model(chat) -> None:
    page = chat.page
    page.get_by_label("Seed").fill("7")
    page.get_by_label("System Prompt").fill("Be brief.")
    page.get_by_label("number input for Max Slices").fill("4")
    page.keyboard.press("Tab")
    answer = chat.ask("options")
    for option in ("seed=7", "max_slice_nums=4", "system_prompt='Be brief.'"):
        expect(answer).to_contain_text(option)


def test_reload_frees_the_model_and_keeps_what_was_written(endless_chat) -> None:
    write_without_end(endless_chat)
    endless_chat.page.wait_for_function("window.talks.records().some(it => it.id === window.talks.current())")
    endless_chat.reload()
    expect(endless_chat.message(1)).to_contain_text("Stopped")
    expect(endless_chat.message(1)).to_contain_text(re.compile(r"\S"))
    set_number(endless_chat, "Max New Tokens", "24")
    endless_chat.ask("still there?")
    expect(endless_chat.messages).to_have_count(4)


def test_what_the_first_step_of_an_answer_says_is_heard_though_the_reply_to_the_call_is_late(chat: ChatPage) -> None:
    def late(route: Route) -> None:
        reply = route.fetch()
        chat.page.wait_for_timeout(700)
        route.fulfill(response=reply)

    chat.page.route(re.compile(r"/queue/join"), late)
    chat.write("/slow one two three")
    chat.page.wait_for_timeout(600)  # the meter's call holds the stream open
    chat.send_button.click()
    expect(chat.stop_button).to_be_visible()
    expect(chat.box).to_have_value("")
    expect(chat.footers).to_have_count(1)
    chat.idle()


@pytest.mark.parametrize(
    ("by", "emptied"),
    [
        ("Enter", True),
        ("Send", False),
        pytest.param("Enter", False, marks=pytest.mark.thorough),
        pytest.param("Send", True, marks=pytest.mark.thorough),
    ],
)
def test_what_the_component_did_not_hear_is_sent_all_the_same(chat: ChatPage, by: str, emptied: bool) -> None:
    """As on a page that has just come up, in one of ten runs on a slow machine."""
    chat.page.evaluate(
        """(emptied) => {
            const area = document.querySelector(".message-box textarea");
            const empty = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
            const deaf = (event) => {
                if (event.type === "keydown" && event.key !== "Enter") return;
                ["keydown", "click"].forEach((kind) => document.removeEventListener(kind, deaf, true));
                event.preventDefault();
                event.stopImmediatePropagation();
                if (emptied) { empty.call(area, ""); area.dispatchEvent(new Event("input", { bubbles: true })); }
            };
            ["keydown", "click"].forEach((kind) => document.addEventListener(kind, deaf, true));
        }""",
        emptied,
    )
    chat.write("hello")
    chat.send_button.click() if by == "Send" else chat.page.keyboard.press("Enter")
    expect(chat.footers).to_have_count(1)
    chat.idle()
    expect(chat.message(0)).to_contain_text("hello")
    expect(chat.box).to_have_value("")
    expect(chat.messages).to_have_count(2)


@pytest.mark.parametrize("by", ["Enter", pytest.param("Send", marks=pytest.mark.thorough)])
def test_what_the_component_has_not_drawn_yet_is_sent_too(chat: ChatPage, by: str) -> None:
    """As where the last keys and Enter come before a busy machine draws the box again: "/lon" for "/long 1"."""
    chat.write("half")
    expect(chat.send_button).to_be_enabled()
    chat.box.evaluate("area => { area.value = 'half and half'; }")  # with no event that the component would hear
    chat.send_button.click() if by == "Send" else chat.page.keyboard.press("Enter")
    expect(chat.footers).to_have_count(1)
    chat.idle()
    expect(chat.message(0)).to_have_text("half and half")
    expect(chat.message(1)).to_contain_text('text "half and half"')
    expect(chat.box).to_have_value("")
    expect(chat.messages).to_have_count(2)


def test_a_message_with_room_around_it_is_sent_once(chat: ChatPage) -> None:
    chat.ask("  hello \n ")
    chat.page.wait_for_timeout(3000)  # twice as long as the page waits for the message to leave
    expect(chat.messages).to_have_count(2)
    expect(chat.box).to_have_value("")


def test_what_was_not_sent_and_then_changed_waits_for_the_user(chat: ChatPage) -> None:
    chat.page.evaluate(
        """() => document.addEventListener("keydown", (event) => {
            if (event.key === "Enter") event.stopImmediatePropagation(), event.preventDefault();
        }, true)"""
    )
    chat.write("hello")
    chat.page.keyboard.press("Enter")
    chat.page.keyboard.insert_text(" you")
    chat.page.wait_for_timeout(3000)  # twice as long as the page waits for the message to leave
    expect(chat.box).to_have_value("hello you")
    expect(chat.messages).to_have_count(0)


def test_a_click_while_something_is_waited_for_is_no_click_lost(chat: ChatPage) -> None:
    chat.ask("hello")
    calls: list[Route] = []
    chat.page.route(re.compile(r"/queue/join"), lambda route: calls.append(route))
    edit = chat.message(0).get_by_role("button", name="Edit")
    place = edit.bounding_box()
    chat.page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    chat.page.mouse.down()
    with chat.page.expect_request(re.compile(r"/queue/join")):
        chat.page.evaluate("window.callPage('settle', {})")
    chat.page.wait_for_function("document.querySelector('.ms-gr-auto-loading-default-antd')?.offsetHeight > 0")
    chat.page.mouse.up()
    expect(chat.message(0).locator("textarea")).to_be_visible()
    for call in calls:
        call.continue_()
