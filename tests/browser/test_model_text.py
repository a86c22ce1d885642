"""Whatever a model writes, the page stays whole, loads nothing from elsewhere and shows the text."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

BEACON = "http://203.0.113.1/beacon"
PARTS = {
    "script": "<script>alert(1)</script>",
    "style": "<style>*{visibility:hidden!important}</style>",
    "overlay": '<div style="position:fixed;inset:0;z-index:9999;background:red">x</div>',
    "image": f"![x]({BEACON}.png)",
    "reference": f"![x][1]\n\n[1]: {BEACON}.png",
    "html image": f'<img src="{BEACON}.png" onerror="alert(1)">',
    "svg": '<svg onload="alert(1)"><image href="' + BEACON + '.png"/></svg>',
    "iframe": f'<iframe src="{BEACON}"></iframe>',
    "link": f'<link rel="stylesheet" href="{BEACON}.css">',
    "base": f'<base href="{BEACON}">',
    "refresh": f'<meta http-equiv="refresh" content="0;url={BEACON}">',
    "video": f'<video src="{BEACON}.mp4" autoplay></video>',
}
ACTING = {
    **{" and ".join(names): "\n\n".join(map(PARTS.get, names)) for names in zip(*[iter(PARTS)] * 4, strict=True)},
    "indented closing": "```\nx\n   ```\n<style>*{visibility:hidden!important}</style>",
    "closing with a tab": "```\nx\n```\t\n<style>*{visibility:hidden!important}</style>\n```\n",
    "fence inside": "```\n    ```\n```\n<style>*{visibility:hidden!important}</style>",
    "math and fence": "$$\n```\n$$\n<style>*{visibility:hidden!important}</style>",
    "fence in a list": "- a\n  ```\n  x\n<style>*{visibility:hidden!important}</style>",
    "table": "|a|b|\n|-|-|\n|`x|<style>*{visibility:hidden!important}</style>`|",
    "url and backtick": "http://a/`<style>*{visibility:hidden!important}</style>`",
    "diagram": f'```mermaid\n<img src="{BEACON}.png"><style>*{{visibility:hidden!important}}</style>\n```',
    "diagram and space": "```mermaid \n<style>*{visibility:hidden!important}</style>\n```",
    "diagram in a list": f'- ```mermaid\n  &lt;img src="{BEACON}.png"&gt;\n  ```',
    "name of a link": "[x]:\n```\n<style>*{visibility:hidden!important}</style>\n```",
    "lists": "- " * 1500 + "x",
    "quotes": "> " * 1500 + "x",
    "indentation": "\n".join("  " * depth + "- x" for depth in range(300)),
    "emphasis": "*a " * 1500 + "a* " * 1500,
    "brackets": "[" * 3000,
}


def say(chat, text: str) -> None:
    """Let the model write a text."""
    chat.ask("marker\n\n" + text)


def edit_answer(chat, text: str) -> None:
    answer = chat.message(1)
    answer.get_by_role("button", name="Edit").click()
    answer.locator("textarea").fill("edited\n\n" + text)
    answer.get_by_role("button", name="Save").click()
    expect(answer.locator("textarea")).to_have_count(0)
    expect(answer).to_contain_text("edited")
    chat.idle()


@pytest.fixture
def verbatim(open_chat):
    """A page whose model repeats what it is told."""
    chat = open_chat("verbatim")
    chat.page.on("dialog", lambda dialog: chat.errors.append(f"dialog {dialog.message}"))
    return chat


def acting_elements(chat) -> int:
    return chat.page.locator(".conversation").evaluate("""root => root.querySelectorAll(`script, style, iframe, link,
        base, meta, video, form, [style*=fixed], img[src*="203.0.113"], image`).length""")


def test_nothing_acts(verbatim) -> None:
    for number, (name, text) in enumerate(ACTING.items()):
        if number and number % 4 == 0:  # a page is slow that holds all of them
            verbatim.button("Clear history").click()
            expect(verbatim.messages).to_have_count(0)
        say(verbatim, text)
        expect(verbatim.messages.last).to_contain_text("marker")
        assert acting_elements(verbatim) == 0, name
        assert verbatim.page.evaluate("getComputedStyle(document.body).visibility") == "visible", name
        assert verbatim.foreign == [], name


def test_what_is_typed_right_after_clear_history_stays_and_is_sent(verbatim) -> None:
    say(verbatim, "before")
    verbatim.button("Clear history").click()
    verbatim.write("marker\n\nafter")
    # On a busy machine the component puts the text that it knows, none, back as late as the server's answer comes.
    verbatim.box.evaluate("box => { box.value = '' }")
    expect(verbatim.messages).to_have_count(0)
    verbatim.send_button.click()
    expect(verbatim.message(1)).to_contain_text("after")
    expect(verbatim.box).to_have_value("")


def test_nothing_acts_in_an_answer_edited_by_hand(verbatim) -> None:
    say(verbatim, "hello")
    for name in ("style", "html image", "refresh", "image"):
        edit_answer(verbatim, PARTS[name])
        assert acting_elements(verbatim) == 0, name
    edit_answer(verbatim, "once more")
    expect(verbatim.message(1)).to_contain_text("once more")


def test_boxes_and_tags_are_shown(verbatim) -> None:
    say(verbatim, "<ref>a cat</ref><box>1 2 3 4</box> a < b & c &lt; <b>not bold</b> `x < y`")
    shown = "<ref>a cat</ref><box>1 2 3 4</box> a < b & c &lt; <b>not bold</b> x < y"
    expect(verbatim.message(1)).to_contain_text(shown)


def test_code_and_formatting_are_rendered(verbatim) -> None:
    say(verbatim, "**bold** and\n\n```html\n<b>x</b>\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    answer = verbatim.message(1)
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("pre code")).to_have_text(re.compile(r"^<b>x</b>\s*$"))
    expect(answer.locator("td").first).to_have_text("1")


def test_code_in_a_list_shows_what_was_written(verbatim) -> None:
    say(verbatim, "1. Do:\n\n   ```cpp\n   #include <vector>\n   if (a && b) x;\n   ```\n\nCode:\n\n    a <b> && c\n")
    shown = [text.replace("\u2060", "").strip() for text in verbatim.message(1).locator("pre code").all_text_contents()]
    assert shown == ["#include <vector>\nif (a && b) x;", "a <b> && c"]


def test_formulas_are_rendered_and_prices_are_not(verbatim) -> None:
    say(verbatim, "It costs $5, not $6: \\(a < b\\) and $$x^2$$")
    expect(verbatim.message(1).locator(".katex")).to_have_count(2)
    expect(verbatim.message(1).locator(".katex-error")).to_have_count(0)
    expect(verbatim.message(1)).to_contain_text("It costs $5, not $6:")


def test_an_answer_saved_unchanged_stays_the_same(verbatim) -> None:
    text = "<box>1</box> `<b>` & more &lt;"
    say(verbatim, text)
    answer = verbatim.message(1)
    answer.get_by_role("button", name="Edit").click()
    answer.get_by_role("button", name="Save").click()
    expect(answer.locator("textarea")).to_have_count(0)
    verbatim.idle()
    expect(answer).to_contain_text("<box>1</box>")
    expect(answer).to_contain_text("& more &lt;")


def test_code_is_copied_as_it_was_written(open_chat) -> None:
    chat = open_chat("verbatim", permissions=["clipboard-read", "clipboard-write"])
    for number, text in enumerate(("use `<b>`", "```mermaid\na --> b\n```\n\n1. x\n   ```\n   <b>\n   ```")):
        say(chat, text)
        answer = chat.message(2 * number + 1)
        answer.get_by_role("button", name="Copy", exact=True).last.click()
        assert chat.page.evaluate("navigator.clipboard.readText()") == "marker\n\n" + text
    answer.get_by_role("button", name="Edit").click()
    expect(answer.locator("textarea")).to_have_value("marker\n\n" + text)


def test_a_long_answer_in_parts_is_one_to_copy_and_to_edit(verbatim) -> None:
    paragraphs = [f"Paragraph {number}. " + "Some words in a row. " * 60 for number in range(12)]
    say(verbatim, "\n\n".join(paragraphs))
    answer = verbatim.message(1)
    parts = answer.locator(".ms-gr-ant-flex > .ms-gr-markdown")
    expect(parts).to_have_count(6)
    for number in (0, 5, 11):
        expect(answer.get_by_text(f"Paragraph {number}.")).to_have_count(1)
    verbatim.page.evaluate("document.querySelector('.ms-gr-ant-bubble-list-scroll-box').scrollTop = 0")
    answer.get_by_role("button", name="Edit").click()
    expect(answer.locator("textarea")).to_have_count(1)
    assert answer.locator("textarea").input_value().split() == ["marker", *" ".join(paragraphs).split()]
    answer.get_by_role("button", name="Save").click()
    expect(answer.locator("textarea")).to_have_count(0)
    expect(parts).to_have_count(6)
