"""How the page's scripts look at what has changed: `window.page.watch`."""

from __future__ import annotations

import pytest

from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser

# What of two seconds went into a watcher that takes 40 ms, while the page changes all the time.
BUSY = """async () => {
    let spent = 0;
    window.page.watch(() => {
        const began = performance.now();
        while (performance.now() < began + 40);
        spent += performance.now() - began;
    });
    spent = 0;
    const began = performance.now(), probe = document.createElement("p");
    while (performance.now() < began + 2000) {
        document.body.append(probe);
        probe.remove();
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return spent / (performance.now() - began);
}"""

BROKEN = """async () => {
    let looks = 0, broken = false;
    window.page.watch(() => { if (broken) throw new Error("a watcher is broken"); });
    window.page.watch(() => { looks += 1; });
    const before = looks;
    broken = true;
    document.body.append(document.createElement("p"));
    for (let tries = 0; looks === before && tries < 500; tries++)
        await new Promise((resolve) => setTimeout(resolve, 20));
    broken = false;
    return looks - before;
}"""


def test_looking_leaves_the_page_its_time(chat: ChatPage) -> None:
    """By frames alone it would take nearly all."""
    assert 0 < chat.page.evaluate(BUSY) < 0.4


def test_a_broken_watcher_stops_no_other(chat: ChatPage) -> None:
    assert chat.page.evaluate(BROKEN) >= 1
    assert any("a watcher is broken" in error for error in chat.errors)
    chat.errors.clear()
