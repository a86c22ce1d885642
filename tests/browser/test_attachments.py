"""Files: where they stand in a message, and what happens to those that cannot be used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser


def test_marks_in_the_text_place_the_files(chat, examples: Path) -> None:
    answer = chat.ask("Compare [image 2] with this.", examples / "pair_1.png", examples / "pair_2.png")
    expect(answer).to_contain_text('image 1 of 480x360 px, text "Compare", image 2 of 480x360 px, text "with this."')


def test_attachments_are_numbered_before_they_are_sent(chat, examples: Path) -> None:
    chat.attach(examples / "pair_1.png", examples / "ball.mp4", examples / "pair_2.png")
    numbers = chat.page.locator("[data-number]").evaluate_all("cards => cards.map(card => card.dataset.number)")
    assert numbers == ["[image 1]", "[video 1]", "[image 2]"]


def sent_during_an_upload(chat: ChatPage, file: Path) -> Route:
    """The upload, which is held up while a message about its file is sent."""
    uploads: list[Route] = []
    chat.page.route(re.compile(r"/upload\b"), lambda route: uploads.append(route))
    chat.choose(file)
    expect(chat.page.locator("[class*=status-uploading]")).to_have_count(1)
    chat.box.press_sequentially("typed meanwhile")
    chat.box.press("Enter")
    return uploads[0]


def test_a_message_sent_during_an_upload_waits_for_it(chat, examples: Path) -> None:
    upload = sent_during_an_upload(chat, examples / "pair_1.png")
    expect(chat.messages).to_have_count(0)
    expect(chat.box).to_have_value("typed meanwhile")
    upload.continue_()
    expect(chat.messages.last).to_contain_text('image 1 of 480x360 px, text "typed meanwhile"')
    expect(chat.footers).to_have_count(1)


def test_a_message_that_waited_for_its_upload_goes_even_if_the_page_takes_no_click_yet(chat, examples: Path) -> None:
    upload = sent_during_an_upload(chat, examples / "pair_1.png")
    # A component that has not caught up yet swallows clicks; here the first two.
    chat.page.evaluate("""() => {
        let left = 2;
        document.addEventListener("click", (event) => {
            if (event.target.closest(".ms-gr-ant-sender-actions-btn") && left-- > 0) event.stopImmediatePropagation();
        }, true);
    }""")
    upload.continue_()
    expect(chat.messages.last).to_contain_text('image 1 of 480x360 px, text "typed meanwhile"')
    expect(chat.footers).to_have_count(1)
    expect(chat.messages).to_have_count(2)


def test_a_file_that_is_no_picture_is_not_sent(any_chat, tmp_path: Path) -> None:
    fake = tmp_path / "photo.png"
    fake.write_text("not a picture at all")
    any_chat.attach(fake)
    any_chat.send("What is this?")
    toast = any_chat.page.get_by_test_id("toast-body")
    expect(toast).to_contain_text("Attachment 1")
    expect(any_chat.messages.last).to_contain_text("Attachment 1: The file is text")
    expect(any_chat.messages.last).to_contain_text("Not sent")
    expect(any_chat.box).to_have_value("What is this?")
    expect(any_chat.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(1)


def test_a_broken_picture_fails_its_turn_alone(any_chat, tmp_path: Path, examples: Path) -> None:
    any_chat.ask("before")
    broken = tmp_path / "broken.png"
    broken.write_bytes((examples / "pair_1.png").read_bytes()[:16])
    any_chat.attach(broken)
    any_chat.send("What is this?")
    expect(any_chat.message(3)).to_contain_text("Failed")
    expect(any_chat.page.get_by_test_id("toast-body")).to_be_visible()
    expect(any_chat.box).to_have_value("What is this?")
    any_chat.idle()

    any_chat.button("Clear history").click()
    expect(any_chat.messages).to_have_count(0)


def test_a_failed_turn_can_be_regenerated_and_edited(chat) -> None:
    chat.ask("first")
    chat.send("/fail please")
    expect(chat.message(3)).to_contain_text("The echo failed")
    expect(chat.message(3)).to_contain_text("Failed")
    expect(chat.box).to_have_value("/fail please")
    chat.idle()

    question = chat.message(2)
    question.get_by_role("button", name="Edit").click()
    question.locator("textarea").fill("fine now")
    question.get_by_role("button", name="Save").click()
    expect(chat.message(3)).to_contain_text("Message 2")
    expect(chat.messages).to_have_count(4)
    expect(chat.message(0)).to_contain_text("first")


def test_text_typed_during_an_upload_stays_unsent(chat, examples: Path) -> None:
    uploads: list = []
    chat.page.route(re.compile(r"/upload\b"), lambda route: uploads.append(route))
    chat.choose(examples / "pair_1.png")
    expect(chat.page.locator("[class*=status-uploading]")).to_have_count(1)
    chat.box.press_sequentially("typed meanwhile")
    uploads[0].continue_()
    expect(chat.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(1)
    expect(chat.box).to_have_value("typed meanwhile")
    expect(chat.messages).to_have_count(0)


def test_many_files_chosen_at_once_arrive_in_their_order(chat, examples: Path) -> None:
    names = ["pair_1.png", "pair_2.png", "shot_1.png", "ball.mp4", "shot_2.png"]
    answer = chat.ask("All of them.", *(examples / name for name in names))
    sizes = ["image 1 of 480x360 px", "image 2 of 480x360 px", "image 3 of 320x240 px", "video 1 of 10 frames"]
    expect(answer).to_contain_text(", ".join([*sizes, "image 4 of 320x240 px"]))


def test_a_photo_attached_while_an_answer_is_written_comes_after_it(chat, examples: Path) -> None:
    chat.send("/long 1")
    expect(chat.stop_button).to_be_visible()
    chat.button("Attach images and videos").click()
    chat.page.locator(".message-box input[type=file]").first.set_input_files(examples / "pair_1.png")
    chat.stop_button.click()
    chat.idle()
    expect(chat.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(1)
    expect(chat.ask("What is it?")).to_contain_text("image 1 of 480x360 px")


def test_an_upload_that_fails_says_so_and_blocks_nothing(chat, examples: Path) -> None:
    chat.page.route("**/upload*", lambda route: route.fulfill(status=413, body="too large"))
    with chat.slowed(3):  # the card comes after the refusal
        chat.choose(examples / "pair_1.png")
        expect(chat.page.locator(".page-toast", has_text="could not be uploaded")).to_be_visible()
    chat.page.unroute("**/upload*")
    expect(chat.ask("Still there?")).to_contain_text("Still there?")
    chat.errors.clear()  # the browser's own of the 413


@pytest.mark.parametrize("key", ["Enter", " "])
def test_an_attachment_is_removed_by_keyboard(chat, examples: Path, key: str) -> None:
    chat.attach(examples / "pair_1.png")
    chat.page.locator(".message-box").get_by_role("button", name="Remove").press(key)
    expect(chat.page.locator(".message-box [class*=attachment-list-card-status-done]")).not_to_be_visible()
    expect(chat.box).to_be_focused()
    expect(chat.box).to_have_value("")


def test_enter_that_ends_a_composition_sends_nothing(chat, examples: Path) -> None:
    uploads: list[Route] = []
    chat.page.route(re.compile(r"/upload\b"), lambda route: uploads.append(route))
    chat.choose(examples / "pair_1.png")
    expect(chat.page.locator("[class*=status-uploading]")).to_have_count(1)
    chat.write("你好")
    for composing in ({"isComposing": True}, {"keyCode": 229}):  # of Chrome, of Safari
        held = chat.box.evaluate(
            """(box, init) => !box.dispatchEvent(
                new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...init }))""",
            composing,
        )
        assert not held, composing
    uploads[0].continue_()
    expect(chat.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(1)
    expect(chat.box).to_have_value("你好")


LATE_PREVIEW = """() => {
    const set = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
    Object.defineProperty(HTMLImageElement.prototype, "src", {
        ...set,
        set(address) {
            if (!String(address).startsWith("blob:")) return set.set.call(this, address);
            setTimeout(() => set.set.call(this, address), 1500);
        },
    });
}"""


def test_a_preview_that_comes_late_does_not_put_a_file_back_to_its_start(chat, examples: Path) -> None:
    chat.page.evaluate(LATE_PREVIEW)
    chat.attach(examples / "pair_1.png")
    chat.page.wait_for_timeout(2000)
    expect(chat.page.locator("[class*=status-uploading]")).to_have_count(0)
    expect(chat.ask("What is it?")).to_contain_text("image 1 of 480x360 px")
    expect(chat.page.locator("[class*=attachment-list-card]")).to_have_count(0)


def test_a_picture_that_the_browser_cannot_show_is_not_waited_for(chat, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with chat.page.expect_response(re.compile(r"/upload\b")) as response:
        chat.choose(tmp_path / "broken.png")
    assert response.value.ok
    expect(chat.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(1, timeout=4000)
