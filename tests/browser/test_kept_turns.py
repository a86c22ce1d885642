"""What is known of a turn after a reload."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, ChatPage

pytestmark = pytest.mark.browser


def reloaded(chat: ChatPage, state: str) -> None:
    """Load the page again once the browser has the second turn as it ended."""
    chat.until("async (state) => (await talkStore.get(talks.current()))?.talk.turns[1]?.state === state", state)
    chat.reload()


def test_the_dialog_tells_of_a_change_after_a_reload(open_chat) -> None:
    chat = open_chat("tiny", viewport=DESKTOP["viewport"])
    chat.ask("first")
    chat.ask("second")
    reloaded(chat, "done")
    saw = chat.messages.last.get_by_role("button", name="What the model saw")
    dialog = chat.page.get_by_role("dialog", name="What the model saw")
    saw.click()
    expect(dialog).to_contain_text("Exactly as the model got it")
    chat.page.keyboard.press("Escape")
    answer = chat.message(1)
    answer.get_by_role("button", name="Edit").click()
    answer.locator("textarea").fill("another")
    answer.get_by_role("button", name="Save").click()
    expect(answer).to_contain_text("another")
    saw.click()
    expect(dialog).to_contain_text("The conversation was changed since this answer")
    expect(dialog.locator("pre")).to_contain_text("another")
    expect(dialog).not_to_contain_text("Exactly as the model got it")
