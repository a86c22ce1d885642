"""A browser to look at the page with, where there is one."""

from __future__ import annotations

import os
import shutil
import time
from importlib.util import find_spec

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
    " --disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup"
).split()
PLACEHOLDER = "Ask anything about your images and videos"


def find_browser() -> str | None:
    """The program: $CHROMIUM, or an installed one; None also if nothing is there to drive it."""
    if not find_spec("playwright"):
        return None
    return next(filter(None, map(shutil.which, filter(None, (os.environ.get("CHROMIUM"), *NAMES)))), None)


def seconds_until_visible(url: str, program: str) -> float:
    """From the request until the message box shows, in a browser without a cache."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(locale="en-US")
        started = time.monotonic()
        page.goto(url)
        page.get_by_placeholder(PLACEHOLDER).wait_for()
        seconds = time.monotonic() - started
        browser.close()
    return seconds
