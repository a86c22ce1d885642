"""The switch of the page's language: nothing is lost, everything follows, and it is remembered."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# Every text and accessible name on the page that has Latin words and nothing Chinese.
FOREIGN = r"""() => {
  const found = new Set(), add = (text) => {
    if (/[A-Za-z]{3}/.test(text) && !/[\u4e00-\u9fff]/.test(text)) found.add(text.trim());
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!element.closest("script, style, footer, [role=status], .upload-container, .image-container, video"))
      add(walker.currentNode.textContent);
  }
  for (const element of document.querySelectorAll(".gradio-container [aria-label], .gradio-container [placeholder]")) {
    if (element.closest("footer, [role=img], svg, .upload-container, .image-container, video")) continue;
    for (const name of ["aria-label", "placeholder"]) add(element.getAttribute(name) || "");
  }
  return [...found];
}"""
# Names of things, what was said, and Gradio's own words, which stay in the browser's language until it is reloaded.
KEPT = {"Echo", "English", "Top P", "Top K", "JSON", "Half a question", "Say more", "Run"}
GRADIO = ("number input for ", "Reset to default value", "More tabs", "Message ")


def test_the_switch_loses_nothing_and_everything_follows(open_chat) -> None:
    chat = open_chat("echo", color_scheme="light")  # by itself: the page remembers its language
    page = chat.page
    chat.ask("Say more")
    chat.write("Half a question")
    switch = page.get_by_role("combobox", name="Language", exact=True)
    switch.focus()
    switch.select_option("zh")

    expect(page.get_by_role("button", name="清空历史", exact=True)).to_be_visible()
    expect(page.get_by_role("combobox", name="语言", exact=True)).to_be_focused()
    expect(page.locator(".message-box textarea").first).to_have_value("Half a question")
    expect(chat.messages).to_have_count(2)
    expect(page.get_by_text("个 token · ")).to_be_visible()
    expect(page.get_by_role("tab", name="对话", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="新对话")).to_be_visible()
    expect(page.get_by_role("button", name="模型看到了什么")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    page.wait_for_function(f"(kept) => ({FOREIGN})().every((text) => kept.some((word) => text.includes(word)))",
                           arg=[*KEPT, *GRADIO])  # fmt: skip

    # An error of the server too, and what was refused stays in the box.
    page.get_by_role("textbox", name="随机种子").fill("many")
    page.get_by_role("button", name="发送", exact=True).click()
    expect(page.get_by_text("seed：收到 'many'").first).to_be_visible()

    chat.reload()
    expect(page.get_by_role("button", name="清空历史", exact=True)).to_be_visible()
    page.get_by_role("combobox", name="语言", exact=True).select_option("en")
    expect(chat.button("Clear history")).to_be_visible()
    chat.idle()
