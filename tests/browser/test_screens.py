"""Every screen at three sizes, in both themes and languages: kept as pictures, and nothing lies beside or beyond it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.ui.texts import Locale, say
from tests.browser.conftest import ChatPage
from tests.browser.test_accessible import LOOKS, SETTLED
from tests.variants import briefly

pytestmark = pytest.mark.browser

SIZES = {"1440x900": (1440, 900), "1024x768": (1024, 768), "390x844": (390, 844)}
ANSWER = "The <ref>red circle</ref><box>100 200 300 400</box> is at [00:01].\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
QUICK = [("1440x900", *LOOKS[0]), ("390x844", *LOOKS[1])]  # each width of layout and each look once


class Screens:
    """A page of one look, whose screens are kept and checked."""

    def __init__(self, chat: ChatPage, name: str, width: int) -> None:
        self._chat, self._name, self._width = chat, name, width

    def keep(self, screen: str) -> None:
        """Keep a picture; nothing may be wider than the screen."""
        page = self._chat.page
        page.wait_for_function(SETTLED)
        page.evaluate("scrollTo(0, 0)")
        self._chat.shoot(f"screen_{screen}_{self._name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= self._width, screen


@pytest.mark.parametrize(
    ("size", "locale", "theme"),
    briefly(QUICK, [(size, *look) for size in SIZES for look in LOOKS]),
)
def test_every_screen(open_chat, size: str, locale: Locale, theme: str, examples: Path) -> None:
    width, height = SIZES[size]
    phone = width < 720
    chat = open_chat(
        "verbatim",
        viewport={"width": width, "height": height},
        locale={"en": "en-US", "zh": "zh-CN"}[locale],
        color_scheme=theme,
        reduced_motion="reduce",
        is_mobile=phone,
        has_touch=phone,
    )
    page, screens = chat.page, Screens(chat, f"{size}_{theme}_{locale}", width)
    button = lambda key: page.get_by_role("button", name=say(key, locale), exact=True)  # noqa: E731
    box = page.get_by_placeholder(say("placeholder", locale))
    tall = "document.documentElement.scrollHeight"
    screens.keep("empty")
    if not phone:
        assert page.evaluate(tall) <= height  # all of it at one glance
    button("attach").click()
    page.locator(".message-box input[type=file]").first.set_input_files(
        [examples / "shapes.png", examples / "ball.mp4"]
    )
    expect(page.locator("[class*=attachment-list-card-status-done]")).to_have_count(2)
    expect(page.locator(".bench")).to_be_visible()
    box.fill(ANSWER)
    screens.keep("attached")
    button("send").click()
    expect(page.locator(".seen-open")).to_have_count(1)
    expect(page.locator(".box-figure")).to_be_visible()
    expect(button("send")).to_be_visible()
    expect(page.locator(".bench")).to_have_count(0)
    screens.keep("answer")
    if not phone:
        assert page.evaluate(tall) <= height
    button("saw").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    screens.keep("seen")
    page.keyboard.press("Escape")
    if phone:
        button("talks_show").click()
        expect(page.locator(".talk-open").first).to_be_in_viewport()
        screens.keep("talks")
        button("talks_hide").click()
        page.locator(".presets").scroll_into_view_if_needed()
        chat.shoot(f"screen_decoding_{size}_{theme}_{locale}")
    for tab in ("few_shot", "how_to"):
        page.get_by_role("tab", name=say(tab, locale), exact=True).click()
        screens.keep(tab)
