"""A page that nobody uses draws nothing."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

# Before the page's scripts, so it sees what they let through.
COUNT = """(() => {
  const ask = window.requestAnimationFrame.bind(window);
  window.asked = 0;
  window.requestAnimationFrame = (callback) => { window.asked += 1; return ask(callback); };
})()"""
DURING = "() => { window.asked = 0; return new Promise((done) => setTimeout(() => done(window.asked), 500)); }"
LOOP = """() => {
  window.turns = 0;
  const turn = () => { window.turns += 1; if (window.turns < 5) requestAnimationFrame(turn); };
  turn();
}"""


def test_the_loading_screens_clock_ends(chat) -> None:
    chat.page.add_init_script(COUNT)
    chat.reload()
    assert chat.page.evaluate("window.asked")
    for _ in range(60):
        if not chat.page.evaluate(DURING):
            break
    else:
        raise AssertionError("frames are asked for without an end")
    chat.page.evaluate(LOOP)
    chat.page.wait_for_function("window.turns === 5", polling=50)
    chat.ask("hello")
