"""The page with a model that thinks and has two ways of downsampling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DEMO, DESKTOP, PATIENCE, ChatPage, serving
from tests.families.tiny_native import NAMES, build
from tests.variants import briefly

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=briefly(NAMES[-1:], NAMES))
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("model")
    model = str(build(folder / request.param, request.param))
    command = [*DEMO, "--model", model, "--device", "cpu", "--dtype", "fp32", "--max-new-tokens", "24", "--seed", "1"]
    with serving(command, folder / "log") as address:
        yield address


@pytest.fixture
def chat(browser: Browser, url: str, request: pytest.FixtureRequest) -> Iterator[ChatPage]:
    expect.set_options(timeout=PATIENCE)
    context = browser.new_context(**DESKTOP)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    chat = ChatPage(page, url)
    yield chat
    chat.shoot(re.sub(r"\W+", "_", request.node.name))
    context.close()
    assert chat.errors == [] and chat.foreign == []


def vision_tokens(chat: ChatPage) -> int:
    found = re.search(r"(\d+) vision tokens", chat.footers.last.inner_text())
    assert found
    return int(found[1])


def test_an_image_is_answered_and_finer_downsampling_sees_more(chat: ChatPage, examples: Path) -> None:
    chat.ask("What is in the picture?", examples / "shapes.png")
    coarse = vision_tokens(chat)
    chat.page.get_by_role("radio", name="4x").check()
    chat.button("Regenerate").last.click()
    expect(chat.footers.last).not_to_contain_text(f" {coarse} vision tokens")
    chat.idle()
    assert vision_tokens(chat) > 3 * coarse > 0


def test_thinking_can_be_switched_on_and_is_folded_when_it_has_ended(chat: ChatPage) -> None:
    chat.ask("Hello")
    assert chat.page.get_by_role("button", name="Thinking").count() == 0
    chat.page.get_by_role("checkbox", name="Thinking").check()
    chat.ask("And now?")
    title = chat.messages.last.get_by_role("button", name="Thinking")
    expect(title).to_have_attribute("aria-expanded", "false")
    title.click()
    expect(title).to_have_attribute("aria-expanded", "true")
    text = chat.messages.last.locator(".ms-gr-ant-collapse-content, .ms-gr-ant-collapse-panel").first
    expect(text).to_contain_text(re.compile(r"\S"))


def test_a_video_is_answered(chat: ChatPage, examples: Path) -> None:
    chat.ask("What happens?", examples / "ball.mp4")
    assert vision_tokens(chat) > 0
