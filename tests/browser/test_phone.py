"""The page on a phone: nothing scrolls sideways, a thumb hits every control, the keyboard covers nothing."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import ChatPage
from tests.browser.test_accessible import violations

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TARGET = 40  # pixels
BOXES = "<ref>the red circle</ref><box>100 100 400 400</box> and <ref>a star</ref><box>500 500 900 900</box>"
SMALL = """([selector, least]) => [...document.querySelectorAll(selector)]
    .filter(e => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([e, r]) => r.width && r.height && (r.width < least || r.height < least))
    .map(([e, r]) => `${e.getAttribute("aria-label") || e.textContent.trim()}: ${r.width}x${r.height}`)"""
CONTROLS = """.tab-container:not(.visually-hidden) > button, .talk-list button, .talk-bar button, .chat-buttons button,
    .chat-buttons summary, .ms-gr-pro-multimodal-input button, .conversation button:not(.box-label), .seen-close,
    .side-column .label-wrap, .how-to button, .mark-place, .page-toast button, .bench-head select, .bench-head input,
    .presets button, .presets select, button.fix"""


@pytest.fixture
def phone(open_chat) -> ChatPage:
    return open_chat("echo", **PHONE)


def sound(chat: ChatPage, what: str) -> None:
    """Nothing lies beside the screen, and what is shown can be hit with a thumb."""
    chat.shoot(f"phone_{what}")
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= 390, what
    assert chat.page.evaluate("visualViewport.scale") == 1, what
    assert chat.page.evaluate(SMALL, [CONTROLS, TARGET]) == [], what
    assert violations(chat) == [], what


def test_every_screen_fits_and_is_reached_by_thumb(phone, examples: Path) -> None:
    sound(phone, "empty")
    expect(phone.button("Regenerate")).to_be_in_viewport(ratio=1)
    phone.attach(examples / "pair_1.png", examples / "ball.mp4")
    sound(phone, "attached")
    phone.send(BOXES + "\n\n" + "long" * 60)
    expect(phone.footers).to_have_count(1)
    phone.idle()
    expect(phone.page.locator(".box-figure").first).to_be_visible()
    sound(phone, "answer")
    phone.send("/oom")
    expect(phone.button("Retry")).to_be_visible()
    phone.idle()
    sound(phone, "failed")

    phone.button("Show conversations").click()
    expect(phone.page.get_by_role("navigation", name="Conversations")).to_be_visible()
    sound(phone, "conversations")
    phone.button("Hide conversations").click()

    phone.button("What the model saw").first.click()
    expect(phone.page.get_by_role("dialog", name="What the model saw")).to_be_visible()
    sound(phone, "saw")
    phone.page.keyboard.press("Escape")

    for tab in ("Few Shot", "How to use"):
        phone.tab(tab)
        sound(phone, tab.lower().replace(" ", "_"))


def test_the_keyboard_does_not_cover_the_box(phone) -> None:
    viewport = phone.page.locator("meta[name=viewport]").get_attribute("content")
    assert "interactive-widget=resizes-content" in viewport
    assert "user-scalable" not in viewport and "maximum-scale" not in viewport
    phone.box.tap()
    phone.page.set_viewport_size({"width": 390, "height": 430})  # as Chrome does it, told by that word
    expect(phone.box).to_be_in_viewport(ratio=1)
    expect(phone.send_button).to_be_in_viewport(ratio=1)
    expect(phone.box).to_be_focused()
    phone.shoot("phone_keyboard")


def test_a_keyboard_that_only_covers_takes_its_room_from_the_conversation(phone) -> None:
    conversation = phone.page.locator(".conversation").first
    before = conversation.bounding_box()["height"]
    phone.box.tap()
    phone.page.evaluate("""() => {
        Object.defineProperty(visualViewport, "height", { get: () => innerHeight - 300, configurable: true });
        visualViewport.dispatchEvent(new Event("resize"));
    }""")
    phone.page.wait_for_function(
        "before => Math.abs(before - 300 - document.querySelector('.conversation').offsetHeight) < 2", arg=before
    )


def test_the_page_can_be_installed(phone) -> None:
    href = phone.page.locator("link[rel=manifest]").evaluate_all("links => links.map(link => link.href)")
    assert len(href) == 1
    with urlopen(href[0]) as answer:
        assert answer.headers["content-type"].startswith("application/manifest+json")
        manifest = json.loads(answer.read())
    assert manifest["display"] == "standalone"
    assert manifest["name"] and manifest["short_name"] and manifest["theme_color"] and manifest["background_color"]
    assert urljoin(href[0], manifest["start_url"]).rstrip("/") == phone.url
    assert {"any", "maskable"} == {icon["purpose"] for icon in manifest["icons"]}
    for icon in manifest["icons"]:
        with urlopen(urljoin(href[0], icon["src"])) as answer:
            assert answer.headers["content-type"] == icon["type"] == "image/png"
            picture = Image.open(BytesIO(answer.read()))
        assert icon["sizes"] == "{}x{}".format(*picture.size)
    touch = phone.page.locator("link[rel=apple-touch-icon]").get_attribute("href")
    assert urlopen(urljoin(phone.url + "/", touch)).status == 200
    # What the user writes never lies in a cache of ours.
    assert phone.page.evaluate("navigator.serviceWorker.getRegistrations().then(all => all.length)") == 0
    session = phone.page.context.new_cdp_session(phone.page)
    assert session.send("Page.getAppManifest")["errors"] == []


def test_zooming_in_does_not_jump_to_the_box(phone) -> None:
    phone.box.tap()
    scrolled = """scale => new Promise((resolve) => {
        Object.defineProperty(visualViewport, "scale", { get: () => scale, configurable: true });
        Object.defineProperty(visualViewport, "height", { get: () => 300, configurable: true });
        let count = 0;
        Element.prototype.scrollIntoView = () => { count += 1; };
        visualViewport.dispatchEvent(new Event("resize"));
        requestAnimationFrame(() => requestAnimationFrame(() => resolve(count)));
    })"""
    assert phone.page.evaluate(scrolled, 2) == 0
    assert phone.page.evaluate(scrolled, 1) == 1


def test_what_lies_above_the_page_is_reached_by_thumb(phone) -> None:
    phone.ask("hello")
    phone.button("Show conversations").click()
    expect(phone.page.get_by_role("searchbox")).not_to_be_focused()  # the keyboard would cover the list
    phone.button("More about hello").click()
    assert phone.page.evaluate(SMALL, [".talk-menu button", TARGET]) == []
    phone.shoot("phone_menu")
    phone.page.get_by_role("menuitem", name="Delete").click()
    assert phone.page.evaluate(SMALL, [".page-toast button", TARGET]) == []
    phone.shoot("phone_toast")
    phone.button("Keyboard shortcuts").click()
    assert phone.page.evaluate(SMALL, [".page-dialog button", TARGET]) == []
    phone.shoot("phone_dialog")
