"""How a page keeps up with a long, fast answer: 1,000 tokens a second for a minute, in a real browser.

Cases `text` (plain words) and `markdown` (lists, tables and code). `lag_s` is the longest that the page did not answer
to anything: the largest gap between two ticks of a timer, less what the timer waits for; `lag_p95_s` is what 19 of 20
ticks kept to. `behind_s` is how long after the last token was due the page has all of it. `ratio` is the lag in the
last third of the answer to that in the first third: a page that draws everything again with every update would grow.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL, Popen
from typing import Any

from app.errors import SettingsError
from benchmarks.browser import FLAGS, PLACEHOLDER, find_browser
from benchmarks.options import Cases, Options, median
from benchmarks.ports import free_port
from benchmarks.startup import NO_BROWSER, wait_for

REPEATS = 1
RATE = 1000  # tokens a second
SECONDS = 60
TICK = 0.02  # seconds
# Ticks of a timer and how late each was, in seconds since the first.
WATCH = """tick => {
    window.ticks = [];
    const began = performance.now();
    let last = began;
    setInterval(() => {
        const now = performance.now();
        window.ticks.push([(now - began) / 1000, Math.max(0, now - last - tick * 1000) / 1000]);
        last = now;
    }, tick * 1000);
}"""

# Looks at the last parts alone: a search through all of the page would itself be what slows it down.
ENDED = """() => [...document.querySelectorAll(".conversation .ms-gr-markdown")].slice(-4)
    .some(part => part.textContent.includes("END-OF-ANSWER"))"""


def run(options: Options) -> Cases:
    """Both kinds of text.

    Raises:
        SettingsError: no browser is there.
    """
    program = find_browser()
    if not program:
        raise SettingsError(f"The page cannot be watched: {NO_BROWSER}.", "Install Chromium.")
    seconds = 2 if options.small else SECONDS
    with _server(seconds) as url:
        rows = {kind: [_watch(url, program, kind, seconds) for _ in range(options.repeats)] for kind in KINDS}
    return {kind: {name: median([row[name] for row in some]) for name in some[0]} for kind, some in rows.items()}


def _watch(url: str, program: str, kind: str, seconds: float) -> dict[str, float]:
    """One answer in a new browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(locale="en-US", viewport={"width": 1440, "height": 900})
        page.set_default_timeout((seconds * 4 + 60) * 1000)
        page.goto(url)
        box = page.get_by_placeholder(PLACEHOLDER)
        box.click()
        page.keyboard.insert_text(kind)
        page.evaluate(WATCH, TICK)
        page.get_by_role("button", name="Send", exact=True).click()
        page.wait_for_function(ENDED, polling=200)
        ended = time.time()
        ticks = page.evaluate("window.ticks")
        last = float(page.get_by_text("END-OF-ANSWER").inner_text().rsplit(" ", 1)[-1])
        browser.close()
    return _figures(ticks) | {"behind_s": round(max(0.0, ended - last), 3)}


def _figures(ticks: list[list[float]]) -> dict[str, float]:
    late = sorted(lateness for _, lateness in ticks)
    third = ticks[-1][0] / 3
    first = max(lateness for at, lateness in ticks if at <= third)
    final = max(lateness for at, lateness in ticks if at >= 2 * third)
    return {
        "lag_s": round(late[-1], 3),
        "lag_p95_s": round(late[int(len(late) * 0.95)], 3),
        "ratio": round(final / max(first, TICK), 3),
    }


@contextmanager
def _server(seconds: float) -> Iterator[str]:
    """The page on a backend that is as fast as is wanted, in a process of its own."""
    port = str(free_port())
    process = Popen([sys.executable, "-m", "benchmarks.fast_server", port, str(RATE), str(seconds)], stdout=DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/", process)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


KINDS: dict[str, Any] = {
    "text": "word ",
    "markdown": "- a *point*\n\n| a | b |\n|---|---|\n| 1 | `2` |\n\n```python\nprint('hello')\n```\n\n",
}
