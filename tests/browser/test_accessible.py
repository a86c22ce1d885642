"""The page for everyone: axe-core on every screen, what is heard, no motion, and a chat by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from app.ui.texts import Locale, say
from tests.browser.conftest import ROOT, ChatPage

pytestmark = pytest.mark.browser

WIDE = {"viewport": {"width": 1440, "height": 900}}
ANSWER = """A <ref>red circle</ref><box>100 200 500 600</box>, see [00:01], `code` and [a link](http://127.0.0.1/).

| a | b |
|---|---|
| 1 | 2 |

```python
def answer(number: int = 42) -> str:  # a comment
    return "is " + str(number)
```

> quoted, and \\(x^2\\)"""
AXE = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
GRAVE = ("serious", "critical")


SETTLED = """() => document.getAnimations()
    .every(each => each.playState !== 'running' || each.effect.getComputedTiming().iterations === Infinity)"""


def violations(chat: ChatPage, tries: int = 3) -> list[str]:
    """What axe finds: the rule, the element, and why. It looks again where something may have been half faded in."""
    chat.page.wait_for_function(SETTLED)
    found = [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for rule in Axe().run(chat.page, options=AXE).response["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]
    return violations(chat, tries - 1) if found and tries > 1 else found


def screens(chat: ChatPage, locale: Locale, examples: Path) -> Iterator[str]:
    """Walk the page; the name of each screen while it is open."""
    page = chat.page
    name = lambda key, **values: say(key, locale, **values)  # noqa: E731
    button = lambda key, **values: page.get_by_role("button", name=name(key, **values), exact=True)  # noqa: E731
    box = page.get_by_placeholder(name("placeholder"))
    yield "empty"
    button("attach").click()
    expect(page.locator(".ms-gr-ant-attachment-placeholder-description").first).to_be_visible()
    yield "attach"
    files = page.locator(".message-box input[type=file]").first
    files.set_input_files([examples / "shapes.png", examples / "ball.mp4"])
    expect(page.locator("[class*=attachment-list-card-status-done]")).to_have_count(2)
    box.press("ControlOrMeta+a")
    page.keyboard.insert_text(ANSWER)
    expect(page.locator(".bench")).to_be_visible()
    expect(page.locator(".meter").first).to_be_visible()
    yield "bench"
    button("mark_place", picture=f"[{name('image_number', number=1)}]").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "marking"
    page.keyboard.press("Escape")
    button("send").click()
    expect(page.locator(".seen-open")).to_have_count(1)
    expect(page.locator(".box-figure")).to_be_visible()
    expect(button("send")).to_be_visible()
    expect(page.locator(".talk-open")).not_to_have_count(0)
    yield "answer"
    button("saw").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "seen"
    page.keyboard.press("Escape")
    button("python").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "python"
    page.keyboard.press("Escape")
    button("shortcuts").click()
    yield "shortcuts"
    page.keyboard.press("Escape")
    page.locator(".talk-more").first.click()
    expect(page.get_by_role("menu")).to_be_visible()
    yield "menu"
    page.keyboard.press("Escape")
    page.locator(".library-prompts summary").click()
    yield "templates"
    page.keyboard.press("Escape")
    page.locator(".conversation").get_by_role("button", name=name("delete")).last.click()
    expect(page.get_by_text(name("delete_ask"))).to_be_visible()
    yield "delete"
    page.keyboard.press("Escape")
    page.get_by_role("tab", name=name("few_shot")).click()
    button("add_example").click()
    expect(page.get_by_test_id("toast-body")).to_be_visible()
    yield "few_shot"
    page.get_by_role("tab", name=name("how_to")).click()
    expect(page.locator(".how-to video")).to_be_visible()
    yield "how_to"


# Both languages and both themes: no rule of the style sheets asks for a language (see below), so that what a theme does
# to one it does to the other.
LOOKS = [("en", "light"), ("zh", "dark")]


def test_no_style_depends_on_the_language() -> None:
    sheets = [*(ROOT / "app" / "ui" / "static").glob("*.css")]
    assert sheets
    for sheet in sheets:
        assert not re.search(r":lang\b|\[lang|:dir\b", sheet.read_text("utf-8")), sheet.name


@pytest.mark.parametrize(("locale", "theme"), LOOKS)
def test_axe_finds_nothing_grave(open_chat, locale: Locale, theme: str, examples: Path) -> None:
    chat = open_chat(
        "verbatim", locale={"en": "en-US", "zh": "zh-CN"}[locale], color_scheme=theme, reduced_motion="reduce"
    )
    found = {}
    for screen in screens(chat, locale, examples):
        found[screen] = violations(chat)
        chat.shoot(f"axe_{screen}_{locale}_{theme}")
    assert {screen: some for screen, some in found.items() if some} == {}


HEAR = """() => {
    window.heard = [];
    for (const region of document.querySelectorAll('.page-heard')) {
        const role = region.getAttribute('role');
        new MutationObserver(() => { if (region.textContent) window.heard.push([role, region.textContent]); })
            .observe(region, {childList: true, characterData: true, subtree: true});
    }
}"""


def heard(chat: ChatPage, role: str, text: str) -> None:
    """Wait until a live region of this role has said it, and forget what it said."""
    chat.page.wait_for_function(
        "([role, text]) => window.heard.some(([by, said]) => by === role && said.includes(text))", arg=[role, text]
    )
    chat.page.evaluate("text => { window.heard = window.heard.filter(([, said]) => !said.includes(text)); }", text)


@pytest.mark.parametrize("locale", ["en", pytest.param("zh", marks=pytest.mark.thorough)])
def test_what_happens_is_announced(open_chat, locale: Locale) -> None:
    chat = open_chat("echo", locale={"en": "en-US", "zh": "zh-CN"}[locale])
    page, say_it = chat.page, lambda key: say(key, locale)
    page.evaluate(HEAR)
    box = page.get_by_placeholder(say_it("placeholder"))

    def send(text: str) -> None:
        box.press("ControlOrMeta+a")
        page.keyboard.insert_text(text)
        page.get_by_role("button", name=say_it("send"), exact=True).click()

    send("hello")  # "Answering" is said only if the page is drawn in between
    heard(chat, "status", say_it("hear_done"))
    send("/long 1")
    heard(chat, "status", say_it("hear_answering"))
    expect(page.get_by_role("article", name=say("hear_answer", locale, number=2))).to_contain_text("word")
    page.keyboard.press("Escape")
    heard(chat, "status", say_it("hear_stopped"))
    send("/oom")
    heard(chat, "alert", {"en": "ran out of memory", "zh": "耗尽了内存"}[locale])
    heard(chat, "status", say_it("hear_failed"))


def test_an_answer_that_came_between_two_drawings_is_announced(chat: ChatPage) -> None:
    chat.page.evaluate(HEAR)
    chat.page.evaluate("""() => {
        window.drawings = [];
        window.draw = window.requestAnimationFrame;
        window.requestAnimationFrame = (work) => drawings.push(work);
        return new Promise(done => draw(() => draw(done)));  // those that were asked for before are through
    }""")
    chat.send("hello")
    expect(chat.footers).to_have_count(1)
    chat.page.evaluate("() => { window.requestAnimationFrame = window.draw; drawings.forEach(draw); }")
    heard(chat, "status", say("hear_done", "en"))
    assert not chat.page.evaluate("window.heard.length")


def test_the_focus_comes_back_to_the_box_on_a_slow_machine_too(chat: ChatPage) -> None:
    chat.write("What has changed?")
    expect(chat.send_button).to_be_enabled()
    chat.send_button.focus()
    with chat.slowed(3):
        chat.page.keyboard.press("Enter")
        expect(chat.footers).to_have_count(1)
        expect(chat.box).to_be_focused()


def test_no_motion_for_who_asks_for_none(open_chat) -> None:
    chat = open_chat("echo", reduced_motion="reduce")
    chat.send("/long 1")
    expect(chat.stop_button).to_be_visible()
    longest = chat.page.evaluate("""() => Math.max(0, ...document.getAnimations().map(each => {
        const timing = each.effect.getComputedTiming();
        return timing.duration * timing.iterations;
    }))""")
    assert longest < 1  # ms
    chat.page.keyboard.press("Escape")
    chat.idle()


FOCUSED = """() => {
    const element = document.activeElement, frame = element.closest('.ms-gr-ant-sender');
    const marked = [element, ...(element.tagName === 'TEXTAREA' && frame ? [frame] : [])].some(each => {
        const style = getComputedStyle(each);
        return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    });
    const role = element.getAttribute('role') || element.tagName.toLowerCase();
    const name = element.getAttribute('aria-label') || element.textContent.trim()
        || element.labels?.[0]?.textContent.trim() || element.title;
    return [role, name || '', marked, element.outerHTML.slice(0, 200)];
}"""


def tab_to(chat: ChatPage, name: str, key: str = "Tab", most: int = 60) -> list[str]:
    """Press Tab until a name that begins so has the focus; the names on the way. Each shows its focus."""
    passed: list[str] = []
    for _ in range(most):
        chat.page.keyboard.press(key)
        _, found, marked, html = chat.page.evaluate(FOCUSED)
        assert found, f"no name: {html}"
        assert marked, f"no visible focus: {html}"
        passed.append(found)
        if found.startswith(name):
            return passed
    raise AssertionError(f"{name} was not reached: {passed}")


def test_a_whole_chat_by_keyboard_alone(chat: ChatPage, examples: Path) -> None:
    page, keys = chat.page, chat.page.keyboard
    placeholder = say("placeholder", "en")
    chat.page.evaluate("document.activeElement.blur()")
    assert tab_to(chat, "Skip to the message box") == ["Skip to the message box"]
    keys.press("Enter")
    expect(chat.box).to_be_focused()

    tab_to(chat, "Attach images and videos", "Shift+Tab")
    keys.press("Enter")
    with page.expect_file_chooser() as chooser:
        tab_to(chat, say("drop", "en"), "Shift+Tab")
        keys.press("Enter")
    chooser.value.set_files([examples / "pair_1.png", examples / "pair_2.png"])
    expect(page.locator("[class*=attachment-list-card-status-done]")).to_have_count(2)

    tab_to(chat, placeholder)
    keys.type("What has changed?")
    tab_to(chat, "Send")
    keys.press("Enter")
    expect(chat.footers).to_have_count(1)
    chat.idle()
    expect(chat.message(0).locator("img")).to_have_count(2)
    expect(chat.box).to_be_focused()

    keys.type("/long 1")
    keys.press("Enter")
    expect(chat.message(3)).to_contain_text("word")
    tab_to(chat, "Stop")
    keys.press("Enter")
    chat.idle()
    expect(chat.message(3)).to_contain_text("Stopped")
    expect(chat.box).to_be_focused()

    keys.type("/slow one two")
    keys.press("Enter")
    expect(chat.footers).to_have_count(2)
    chat.idle()
    tab_to(chat, "Regenerate")
    keys.press("Enter")
    expect(chat.stop_button).to_be_visible()
    chat.idle()
    tab_to(chat, "Clear history")
    keys.press("Enter")
    expect(chat.messages).to_have_count(0)
    tab_to(chat, placeholder, "Shift+Tab")


def test_a_toast_is_announced_and_a_copy_is_called_so(open_chat) -> None:
    chat = open_chat("echo", permissions=["clipboard-read", "clipboard-write"])
    chat.page.evaluate(HEAR)
    chat.page.evaluate("window.pageToast('Gone.')")
    heard(chat, "status", "Gone.")
    expect(chat.page.locator(".page-toast")).not_to_have_attribute("role", "status")
    answer = chat.ask("hello")
    answer.get_by_role("button", name="Copy", exact=True).last.click()
    expect(answer.get_by_role("button", name="Copied", exact=True)).not_to_have_count(0)
    expect(answer.get_by_role("button", name="Save", exact=True)).to_have_count(0)
