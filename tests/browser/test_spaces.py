"""The page as the Hub shows it: a Space's environment, a proxy's path, and a frame in a page of another origin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, FrameLocator, Response, expect

from tests.browser.conftest import DEMO, DESKTOP, PATIENCE, SCREENSHOTS, serving
from tests.browser.proxy_server import ROOT_PATH
from tests.test_spaces import SPACE

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the page around."""
    logs = tmp_path_factory.mktemp("space")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (SPACE | {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_ROOT_PATH": ROOT_PATH}).items():
            patch.setenv(name, value)
        with (
            serving([*DEMO, "--backend", "echo"], logs / "page.log") as url,
            serving(["tests/browser/proxy_server.py", "{port}", url], logs / "proxy.log") as around,
        ):
            yield around


class Seen:
    """What went wrong in a page and its frames."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(message.text)

    def response(self, response: Response) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status} {response.url}")


def ask(frame: FrameLocator, text: str, answers: int) -> None:
    """Send, and wait for the complete answer, the last of so many."""
    frame.get_by_placeholder("Ask anything about your images and videos").fill(text)
    frame.get_by_role("button", name="Send", exact=True).click()
    expect(frame.get_by_text(re.compile(r"\d+ tokens? · "))).to_have_count(answers)


def test_a_space_in_a_frame_of_another_origin(browser: Browser, space: str, examples: Path) -> None:
    expect.set_options(timeout=PATIENCE)
    context, seen = browser.new_context(**DESKTOP), Seen()
    page = context.new_page()
    page.on("console", seen.console)
    page.on("pageerror", lambda error: seen.wrong.append(str(error)))
    page.on("response", seen.response)
    page.goto(space.replace("127.0.0.1", "localhost"))
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("button", name="Send", exact=True)).to_be_visible()
    assert page.frames[-1].evaluate("location.origin") != page.evaluate("location.origin")

    ask(frame, "Hello", 1)
    messages = frame.locator(".conversation .ms-gr-pro-chatbot-message")
    expect(messages.nth(1)).to_contain_text('text "Hello"')

    frame.get_by_role("button", name="Attach images and videos", exact=True).click()
    frame.locator(".message-box input[type=file]").first.set_input_files(examples / "pair_1.png")
    expect(frame.locator("[class*=attachment-list-card-status-done]")).to_have_count(1)
    ask(frame, "What is it?", 2)
    expect(messages.nth(3)).to_contain_text("image 1 of 480x")
    picture = messages.nth(2).locator("img").first
    assert picture.evaluate("async e => { await e.decode(); return e.naturalWidth }") == 480

    frame.get_by_role("button", name="Copy as Python", exact=True).last.click()
    expect(frame.get_by_role("dialog")).to_contain_text(f"OpenAI(base_url='{space}{ROOT_PATH}/v1'")
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "space_in_a_frame.png")
    context.close()
    assert seen.wrong == []
