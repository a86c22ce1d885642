"""What `make demo` serves answers right: a picture of one's own, and every example of the page."""

from __future__ import annotations

import base64
import io
import re
import shlex
from collections.abc import Sequence

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, expect

from tests.browser.conftest import ROOT, SERVERS

pytestmark = pytest.mark.browser

EXAMPLES = {"one_image": "blue", "images": "the second", "reading": "STOP", "video": "right"}
EXAMPLES_ZH = {"one_image": "蓝色", "images": "the second", "reading": "STOP", "video": "right"}
DRAWN = 10_000  # ms in which an answer whose figures are shown is there too


@pytest.fixture(scope="module", autouse=True)
def server() -> None:
    """The very command of the Makefile, on a free port."""
    recipe = re.search(r"exec \.venv/bin/python (.*) \$\(ARGS\)", (ROOT / "Makefile").read_text("utf-8"))
    assert recipe
    SERVERS["demo"] = [*shlex.split(recipe[1]), "--port", "{port}"]


def red_circle() -> bytes:
    """A PNG, 420 x 300."""
    picture = Image.new("RGB", (420, 300), "white")
    ImageDraw.Draw(picture).ellipse((140, 80, 280, 220), fill=(225, 30, 35))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def drop(chat, png: bytes) -> None:
    """Let a picture fall onto the page."""
    carried = chat.page.evaluate_handle(
        """encoded => {
            const bytes = Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0)), carried = new DataTransfer();
            carried.items.add(new File([bytes], "drawing.png", {type: "image/png"}));
            return carried;
        }""",
        base64.b64encode(png).decode(),
    )
    area = chat.page.locator(".ms-gr-ant-attachment-drop-area")
    for place in ("body", ".message-box"):  # one that is dragged enters many elements on its way
        chat.page.locator(place).first.dispatch_event("dragenter", {"dataTransfer": carried})
        expect(area).to_have_count(1)
    expect(area).to_be_visible()
    area.locator("[role=button], .ms-gr-ant-upload-btn").first.dispatch_event("drop", {"dataTransfer": carried})
    expect(chat.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(1)


def expect_answer(answer: Locator, words: str) -> None:
    """The answer, which is complete, is these words and no others."""
    text = answer.locator(".ms-gr-pro-chatbot-message-content")
    expect(text).to_have_text(re.compile(rf"^\s*{re.escape(words)}\s*$"), timeout=DRAWN)


def ask_example(chat, example: str, tabs: Sequence[str] = ("How to use", "Send")) -> Locator:
    """Click an example, send what it filled in, and wait for the whole answer."""
    howto, send = tabs
    chat.tab(howto)
    chat.page.locator(f".try-{example}").click()
    expect(chat.page.locator(".message-box textarea").first).to_have_value(re.compile(r"\S"))
    expect(chat.messages).to_have_count(0)
    chat.button(send).click()
    expect(chat.page.get_by_text(re.compile(r"\d+ (tokens?|个 token) · "))).to_have_count(1)
    return chat.messages.last


def test_a_picture_dropped_onto_the_page(open_chat) -> None:
    chat = open_chat("demo")
    drop(chat, red_circle())
    answer = chat.ask("What colour is the circle?")
    expect(answer.locator(".ms-gr-pro-chatbot-message-content")).to_contain_text("red")
    expect(chat.page.locator(".status-noise")).to_have_count(0)
    expect_answer(chat.ask("And its shape?"), "circle")


def test_each_example(open_chat) -> None:
    chat = open_chat("demo")
    for example, words in EXAMPLES.items():
        expect_answer(ask_example(chat, example), words)
        chat.idle()


@pytest.mark.parametrize(
    "example",
    [name if name == "one_image" else pytest.param(name, marks=pytest.mark.thorough) for name in EXAMPLES_ZH],
)
def test_an_example_in_chinese(open_chat, example: str) -> None:
    chat = open_chat("demo", locale="zh-CN")
    expect_answer(ask_example(chat, example, ("使用说明", "发送")), EXAMPLES_ZH[example])


@pytest.mark.parametrize(
    ("locale", "tab", "generate", "answer"),
    [
        ("en-US", "How to use", "Generate", "green heart"),
        pytest.param("zh-CN", "使用说明", "生成", "绿色的心形", marks=pytest.mark.thorough),
    ],
)
def test_the_few_shot_example(open_chat, locale: str, tab: str, generate: str, answer: str) -> None:
    """The answer comes in the form of the examples: without an article, in their language."""
    chat = open_chat("demo", locale=locale)
    chat.tab(tab)
    chat.page.locator(".try-examples").click()
    expect(chat.messages).to_have_count(4)
    expect(chat.page.locator(".few-shot img")).to_be_visible()
    chat.button(generate).click()
    expect(chat.page.get_by_text(re.compile(r"\d+ (tokens?|个 token) · "))).to_have_count(1)
    expect_answer(chat.messages.last, answer)


def test_beam_search_answers_right_too(open_chat) -> None:
    chat = open_chat("demo")
    chat.page.get_by_role("radio", name="Beam Search").check()
    expect(chat.page.get_by_role("slider", name="Num Beams", exact=True)).to_be_visible()
    expect_answer(ask_example(chat, "one_image"), "blue")


def test_small_talk(open_chat) -> None:
    chat = open_chat("demo")
    expect(chat.ask("Hello")).to_contain_text("Hello!")
    expect(chat.ask("Who are you?")).to_contain_text("small MiniCPM-V model")
