"""Photos from the webcam and from a phone's camera app, and screenshots that are pasted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Playwright, expect

from tests.browser.conftest import DESKTOP, FLAGS, ChatPage, chromium

pytestmark = pytest.mark.browser

FAKE = ["--use-fake-device-for-media-stream=device-count=2", "--use-fake-ui-for-media-stream"]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def camera_browser(playwright: Playwright, browser: Browser) -> Iterator[Browser]:
    """A Chromium with two cameras that show a test picture."""
    browser = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, *FAKE])
    yield browser
    browser.close()


@pytest.fixture
def open_with_camera(camera_browser: Browser, servers: dict[str, str]):
    """Opens pages of the echo server that may use the cameras."""
    opened: list[ChatPage] = []

    def open_page(**options) -> ChatPage:
        context = camera_browser.new_context(**DESKTOP | {"permissions": ["camera"]} | options)
        page = context.new_page()
        page.set_default_timeout(90_000)
        expect.set_options(timeout=90_000)
        opened.append(ChatPage(page, servers["echo"]))
        return opened[-1]

    yield open_page
    for chat in opened:
        chat.page.context.close()
        assert chat.errors == []
        assert chat.foreign == []


def dialog(chat: ChatPage) -> Locator:
    chat.button("Take photos").click()
    return chat.page.get_by_role("dialog", name="Take photos")


def attached(chat: ChatPage, count: int) -> None:
    expect(chat.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(count)


def frame_size(opened: Locator) -> str:
    """WIDTHxHEIGHT of the live picture, once there is one."""
    video = opened.locator("video")
    expect(opened.get_by_role("button", name="Take a photo")).to_be_enabled()
    return video.evaluate("v => `${v.videoWidth}x${v.videoHeight}`")


def test_snapshots_are_attached_and_answered_with_their_size(open_with_camera) -> None:
    chat = open_with_camera()
    opened = dialog(chat)
    size = frame_size(opened)
    for _ in range(3):
        opened.get_by_role("button", name="Take a photo").click()
    expect(opened.get_by_role("listitem")).to_have_count(3)
    opened.get_by_role("button", name="Remove photo 2").click()
    chat.shoot("camera_desktop")
    opened.get_by_role("button", name="Attach 2").click()
    expect(opened).to_have_count(0)
    attached(chat, 2)
    chat.send("What is it?")
    expect(chat.messages.last).to_contain_text(f'image 1 of {size} px, image 2 of {size} px, text "What is it?"')


def test_the_other_camera_and_none_left_on(open_with_camera) -> None:
    chat = open_with_camera(**PHONE)
    chat.page.evaluate("""() => {
        window.tracks = [];
        const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            const stream = await get(wanted);
            window.tracks.push(...stream.getTracks());
            return stream;
        };
    }""")
    opened = dialog(chat)
    frame_size(opened)
    opened.get_by_role("button", name="Other camera").click()
    chat.page.wait_for_function("window.tracks.length === 2 && window.tracks[1].readyState === 'live'")
    assert len(set(chat.page.evaluate("window.tracks.map(track => track.label)"))) == 2
    frame_size(opened)
    chat.shoot("camera_phone")
    opened.get_by_role("button", name="Cancel").click()
    expect(opened).to_have_count(0)
    assert chat.page.evaluate("window.tracks.map(track => track.readyState)") == ["ended", "ended"]
    expect(chat.button("Take photos")).to_be_focused()


def test_photos_of_the_camera_app_without_a_camera_in_the_page(open_chat, examples: Path) -> None:
    chat = open_chat("echo", **PHONE)
    opened = dialog(chat)
    expect(opened.get_by_role("status")).to_contain_text(re.compile("camera|allowed"))
    for name in ("pair_1.png", "shot_1.png"):
        with chat.page.expect_file_chooser() as chooser:
            opened.get_by_role("button", name="Camera app").click()
        assert chooser.value.element.get_attribute("capture") == "environment"
        chooser.value.set_files(examples / name)
    opened.get_by_role("button", name="Attach 2").click()
    attached(chat, 2)
    chat.send("Both")
    expect(chat.messages.last).to_contain_text("image 1 of 480x360 px, image 2 of 320x240 px")


@pytest.mark.parametrize("place", ["box", "page"])
def test_a_pasted_screenshot_is_attached(open_chat, place: str) -> None:
    chat = open_chat("echo", permissions=["clipboard-read", "clipboard-write"], viewport=DESKTOP["viewport"])
    chat.page.evaluate("""async () => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 321, height: 123 });
        canvas.getContext("2d").fillRect(0, 0, 100, 100);
        const blob = await new Promise((resolve) => canvas.toBlob(resolve));
        await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    }""")
    chat.box.click() if place == "box" else chat.page.get_by_role("heading", name="Echo").click()
    chat.page.keyboard.press("ControlOrMeta+v")
    attached(chat, 1)
    chat.send("pasted")
    expect(chat.messages.last).to_contain_text('image 1 of 321x123 px, text "pasted"')


def test_the_shutter_has_the_focus_and_no_photo_stays_in_memory(open_with_camera) -> None:
    chat = open_with_camera()
    chat.page.evaluate("""() => {
        window.urls = new Set();
        const { createObjectURL, revokeObjectURL } = URL;
        URL.createObjectURL = (blob) => {
            const url = createObjectURL.call(URL, blob);
            window.urls.add(url);
            return url;
        };
        URL.revokeObjectURL = (url) => { window.urls.delete(url); revokeObjectURL.call(URL, url); };
    }""")
    opened = dialog(chat)
    expect(opened.get_by_role("button", name="Take a photo")).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(opened.get_by_role("listitem")).to_have_count(1)
    assert chat.page.evaluate("window.urls.size") == 1
    chat.page.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    assert chat.page.evaluate("window.urls.size") == 0
