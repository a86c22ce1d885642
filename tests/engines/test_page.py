"""The page in a browser, in front of transformers serve with random weights of MiniCPM-V 4.6."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import (  # noqa: F401  (fixtures)
    DEMO,
    EXAMPLES,
    SERVERS,
    browser,
    contexts,
    kept_servers,
    open_chat,
    playwright,
    servers,
)
from tests.engines.conftest import Engine, serving, until
from tests.families.tiny_native import build

pytestmark = [pytest.mark.engines, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
LETTER = re.compile(r"\w")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    checkpoint = build(tmp_path_factory.mktemp("checkpoint") / "tiny-4.6", "4.6")
    with serving("transformers", checkpoint, tmp_path_factory.mktemp("engine")) as started:
        asked = ["--base-url", started.url, "--served-model", str(checkpoint), "--max-new-tokens", "24"]
        SERVERS["before_serve"] = [*DEMO, "--backend", "openai", *asked]
        yield started


def limit(chat, tokens: int) -> None:
    chat.page.get_by_label(re.compile("number input for Max New Tokens")).fill(str(tokens))


def test_a_picture_a_follow_up_and_a_reload(engine: Engine, open_chat) -> None:  # noqa: F811
    chat = open_chat("before_serve")
    expect(chat.page.get_by_role("heading", level=1)).to_contain_text("transformers serve")
    expect(chat.page.get_by_role("tab", name="Few Shot", exact=True)).to_be_visible()
    expect(chat.page.locator(".option-top_k")).to_be_visible()
    expect(chat.page.locator(".option-max_slice_nums")).to_be_hidden()
    expect(chat.ask("What is in the picture?", EXAMPLES / "shapes.png")).to_contain_text(LETTER)
    expect(chat.footers.last).to_contain_text("24 tokens")
    expect(chat.ask("And what shape?")).to_contain_text(LETTER)
    expect(chat.messages).to_have_count(4)
    chat.page.evaluate("window.talks.settled()")  # until the browser has written what it was told
    chat.reload()
    expect(chat.messages).to_have_count(4)
    expect(chat.ask("And now?")).to_contain_text(LETTER)


def test_an_answer_streams_and_stop_ends_it_inside_the_engine(engine: Engine, open_chat) -> None:  # noqa: F811
    chat = open_chat("before_serve")
    limit(chat, 4000)
    chat.page.get_by_label("Seed").fill("3")  # one that does not end of itself
    chat.send("Tell me a long story.")
    answer = chat.message(1)
    expect(answer).to_contain_text(LETTER)
    shown = len(answer.inner_text())
    until(lambda: len(answer.inner_text()) > shown + 100)
    assert not engine.rests()
    chat.stop_button.click()
    chat.idle()
    until(engine.rests, seconds=20)
    limit(chat, 8)
    expect(chat.ask("And a short one?")).to_contain_text(LETTER)
    expect(chat.footers.last).to_contain_text("8 tokens")
