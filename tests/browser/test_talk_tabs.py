"""Conversations in two tabs of a browser: what one keeps, changes or deletes takes nothing from the other."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.talk_list import entries, holds, kept, menu

pytestmark = pytest.mark.browser
KEPT_ANSWER = "async (text) => (await talkStore.get(talks.current())).talk.turns[0].answer === text"


def beside(chat):
    """Another tab of the same browser."""
    return type(chat)(chat.page.context.new_page(), chat.url)


def silent(chat) -> None:
    """From now on other tabs hear nothing of what this one does."""
    chat.page.evaluate("BroadcastChannel.prototype.postMessage = () => {}")


def unaware(chat):
    """Another tab that has a conversation open as it was before its second question."""
    chat.ask("first")
    holds(chat, "first")
    other = beside(chat)
    entries(other).filter(has_text="first").click()
    expect(other.messages).to_have_count(2)
    silent(chat)
    chat.ask("second")
    holds(chat, "first", "second")
    return other


def test_a_tab_left_behind_takes_nothing_from_the_other(own_chat) -> None:
    chat = own_chat
    chat.ask("another")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.ask("first")
    holds(chat, "first")
    other = beside(chat)
    entries(other).filter(has_text="first").click()
    expect(other.messages).to_have_count(2)
    other.ask("second")
    holds(other, "first", "second")

    chat.page.evaluate(
        """() => {
            const { keep } = talks, left = talks.current();
            talks.keep = (text) => { keep(text); window.leftIsTold ||= JSON.parse(text).id === left; };
        }"""
    )
    entries(chat).filter(has_text="another").click()
    chat.page.wait_for_function("window.leftIsTold")
    kept(chat)
    holds(other, "first", "second")

    entries(chat).filter(has_text="first").click()
    expect(chat.messages).to_have_count(4)
    other.ask("third")
    holds(other, "first", "second", "third")
    chat.ask("fourth")  # behind the second one as this tab has it
    holds(chat, "first", "second", "third", "fourth")
    chat.reload()
    expect(chat.messages).to_have_count(6)
    expect(chat.message(4)).to_contain_text("fourth")
    expect(chat.message(5)).to_contain_text("1/2")
    chat.message(4).get_by_role("button", name="Delete", exact=True).click()
    chat.page.locator(".ms-gr-ant-popover").get_by_role("button", name="Delete").click()
    expect(chat.message(4)).to_contain_text("third")
    holds(chat, "first", "second", "third")


def test_a_draft_and_a_pin_of_a_tab_that_has_not_heard_of_the_other_take_nothing_from_it(own_chat) -> None:
    chat, other = own_chat, unaware(own_chat)
    other.write("not sent yet")
    other.until("async () => (await talkStore.get(talks.current())).draft?.text === 'not sent yet'")
    holds(chat, "first", "second")
    other.page.evaluate("talks.change(talks.current(), { pinned: true })")
    kept(other)
    holds(chat, "first", "second")
    chat.ask("third")
    holds(chat, "first", "second", "third")
    record = chat.page.evaluate("() => talkStore.get(talks.current())")
    assert record["pinned"] is True and record["talk"]["turns"][1]["parent"] == record["talk"]["turns"][0]["key"]


def test_undo_in_a_tab_that_has_not_heard_of_the_other_takes_nothing_from_it(own_chat) -> None:
    chat, other = own_chat, unaware(own_chat)
    menu(other, "first", "Delete")
    expect(other.messages).to_have_count(0)
    other.button("Undo").click()
    expect(entries(other)).to_have_text(["first"])
    holds(chat, "first", "second")


@pytest.mark.parametrize("end", ["undo", "gone"])
def test_what_goes_on_in_another_tab_outlives_its_deletion_here(own_chat, end: str) -> None:
    chat = own_chat
    chat.ask("first")
    holds(chat, "first")
    other = beside(chat)
    expect(entries(other)).to_have_text(["first"])
    silent(chat)
    # Undo is offered for some seconds only.
    other.page.evaluate("() => { pageToast = (text, action) => { window.offered = action; }; }")
    menu(other, "first", "Delete")
    expect(entries(other)).to_have_count(0)
    chat.ask("second")
    holds(chat, "first", "second")
    other.page.evaluate("end => offered[end]()", end)
    kept(other)
    holds(chat, "first", "second")


def test_a_tab_waits_while_another_reads_and_writes(own_chat) -> None:
    chat = own_chat
    chat.page.evaluate("""() => new Promise((held) => navigator.locks.request("minicpm-v-talks", () => {
        held();
        return new Promise((free) => { window.freeTalks = free; });
    }))""")
    chat.ask("first")
    expect(entries(chat)).to_have_count(0)
    chat.page.evaluate("window.freeTalks()")
    expect(entries(chat)).to_have_text(["first"])


def test_what_another_tab_changed_is_not_written_over_by_an_older_copy(own_chat) -> None:
    chat = own_chat
    chat.ask("first")
    holds(chat, "first")
    other = beside(chat)
    entries(other).click()
    expect(other.messages).to_have_count(2)
    kept(other)
    answer = chat.message(1)
    answer.get_by_role("button", name="Edit").click()
    answer.locator("textarea").fill("corrected")
    answer.get_by_role("button", name="Save").click()
    chat.until(KEPT_ANSWER, "corrected")
    other.ask("second")  # behind the answer as it was
    holds(chat, "first", "second")
    chat.until(KEPT_ANSWER, "corrected")
    chat.reload()
    expect(chat.messages).to_have_count(4)
    expect(chat.message(1)).to_contain_text("corrected")


def test_what_two_tabs_wrote_is_put_together(own_chat) -> None:
    turn = "(key, parent) => ({ key, parent })"
    merge = f"""([told, kept, keys, before]) => {{
        const turn = {turn}, talk = ([turns, chosen]) => ({{ turns: turns.map((it) => turn(...it)), chosen }});
        const {{ turns, chosen }} = talkMerge(
            talk(told), kept && talk(kept), new Set(keys), before && talk(before));
        return [turns.map(({{ key, parent }}) => [key, parent]), chosen];
    }}"""

    def merged(told: list, kept: list | None, keys: str, before: list | None = None) -> list:
        return own_chat.page.evaluate(merge, [told, kept, list(keys), before])

    told = [[["a", ""], ["b", "a"]], {"": "a", "a": "b"}]
    assert merged(told, None, "ab") == told
    deleted = [[*told[0], ["c", "b"]], {**told[1], "b": "c"}]
    assert merged(told, deleted, "abc") == told
    assert merged(told, [[["a", ""], ["x", "a"]], {"": "a", "a": "x"}], "ab") == [[*told[0], ["x", "a"]], told[1]]
    behind = [[["a", ""], ["c", "a"], ["x", "c"]], {"": "a", "a": "c", "c": "x"}]
    assert merged(told, behind, "abc") == [[*told[0], ["x", "a"]], told[1]]
    assert merged([[], {}], behind, "ac") == [[["x", ""]], {"": "x"}]
    assert merged(told, [[["a", ""], ["b", "a"], ["x", "b"], ["y", "x"]], {}], "ab") == [
        [*told[0], ["x", "b"], ["y", "x"]],
        {**told[1], "b": "x", "x": "y"},
    ]
    # Which version is shown: what was chosen last, here or there.
    there = [[*told[0], ["x", "a"]], {"": "a", "a": "x"}]
    assert merged(told, there, "ab", told) == there
    assert merged(told, there, "ab", [told[0][:1], {"": "a"}]) == [there[0], told[1]]
