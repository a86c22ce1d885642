"""A browser to look at the page with, where there is one."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from importlib.util import find_spec

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
    " --disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup"
).split()
PATIENCE = 120  # seconds for the page to show
QUIET = 2  # seconds in which nothing is fetched: the page is complete
PLACEHOLDER = "Ask anything about your images and videos"


def find_browser() -> str | None:
    """The program: $CHROMIUM, or an installed one; None also if nothing is there to drive it."""
    if not find_spec("playwright"):
        return None
    return next(filter(None, map(shutil.which, filter(None, (os.environ.get("CHROMIUM"), *NAMES)))), None)


@dataclass(frozen=True, slots=True)
class FirstPage:
    """The page in a browser without a cache.

    Attributes:
        seconds: from the request until the message box shows.
        bytes: transferred until nothing more comes, compressed as they were.
    """

    seconds: float
    bytes: int


def open_first_page(url: str, program: str) -> FirstPage:
    """Open the page in a new browser."""
    from playwright.sync_api import sync_playwright

    sizes: list[int] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(locale="en-US")
        page.set_default_timeout(1000 * PATIENCE)
        protocol = page.context.new_cdp_session(page)
        protocol.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        protocol.send("Network.enable")
        started = time.monotonic()
        page.goto(url)
        page.get_by_placeholder(PLACEHOLDER).wait_for()
        seconds = time.monotonic() - started
        finished = 0
        while finished != len(sizes):
            finished = len(sizes)
            page.wait_for_timeout(1000 * QUIET)
        browser.close()
    return FirstPage(seconds, round(sum(sizes)))
