"""The conversations that a browser keeps: the list at the side, its menu, and what the store has."""

from __future__ import annotations

from playwright.sync_api import Locator


def entries(chat) -> Locator:
    return chat.page.locator(".talk-open")


def menu(chat, title: str, entry: str) -> None:
    chat.button(f"More about {title}").click()
    chat.page.get_by_role("menuitem", name=entry, exact=True).click()


def kept(chat) -> None:
    """Wait until the browser has written what it was told."""
    chat.page.evaluate("window.talks.settled()")


def holds(chat, *texts: str) -> None:
    """Wait until the browser keeps these questions, and no others, of the conversation that is open."""
    chat.until(
        """async (texts) => {
            const turns = (await talkStore.get(talks.current()))?.talk.turns || [];
            const kept = turns.map((turn) => turn.answer && turn.content.at(-1).text).sort();
            return String(kept) === texts;
        }""",
        ",".join(sorted(texts)),
    )
