"""Presets of the decoding panel: the model's own, and the user's, which the browser keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser


def test_presets_are_used_kept_renamed_overwritten_and_deleted(open_chat) -> None:
    chat: ChatPage = open_chat("echo", locale="en-US")  # a store of its own
    page, presets = chat.page, chat.page.get_by_role("combobox", name="Presets", exact=True)
    rename, delete = chat.button("Rename the preset"), chat.button("Delete the preset")
    expect(rename).to_be_disabled()

    # The model's.
    presets.select_option(label="Creative")
    expect(number(chat, "Temperature")).to_have_value("1")
    presets.select_option(label="Precise")
    expect(page.get_by_role("radio", name="Beam Search")).to_be_checked()
    expect(number(chat, "Num Beams")).to_have_value("1")
    presets.select_option(label="The model's defaults")
    expect(page.get_by_role("radio", name="Sampling")).to_be_checked()
    expect(number(chat, "Temperature")).to_have_value("0.7")

    # One's own, with the keyboard: what is changed by hand is no preset any more.
    number(chat, "Temperature").fill("0.3")
    number(chat, "Temperature").press("Enter")
    expect(presets.locator("option:checked")).to_have_text("Choose a preset")
    save(chat, "Mine", "Save")
    expect(presets.locator("option:checked")).to_have_text("Mine")
    number(chat, "Temperature").fill("0.4")
    number(chat, "Temperature").press("Enter")
    save(chat, "Mine", "Overwrite")
    expect(presets.locator("option:checked")).to_have_text("Mine")
    chat.reload()
    presets.select_option(label="The model's defaults")
    expect(number(chat, "Temperature")).to_have_value("0.7")
    presets.select_option(label="Mine")
    expect(number(chat, "Temperature")).to_have_value("0.4")
    expect(chat.ask("What holds?")).to_contain_text("Options: temperature=0.4.")

    rename.click()
    page.get_by_role("textbox", name="Name of the preset").fill("Ours")
    page.keyboard.press("Enter")
    expect(presets.locator("option:checked")).to_have_text("Ours")
    expect(rename).to_be_focused()
    delete.click()
    expect(presets.locator("option", has_text="Ours")).to_have_count(0)
    chat.button("Undo").click()
    expect(presets.locator("option:checked")).to_have_text("Ours")

    # What was changed in the browser's store is refused, and changes nothing.
    page.evaluate(
        """localStorage.setItem('minicpm-v-presets', JSON.stringify({Bad: {temperature: 1e9}, " ": {}, Odd: 7}))"""
    )
    chat.reload()
    expect(presets.locator("option", has_text="Odd")).to_have_count(0)
    presets.select_option(label="Bad")
    expect(page.get_by_text("The click could not be understood.").first).to_be_visible()
    expect(number(chat, "Temperature")).to_have_value("0.4")  # of the last answer

    page.get_by_role("combobox", name="Language").select_option("zh")
    expect(page.get_by_role("combobox", name="预设", exact=True)).to_contain_text("模型默认值")


def number(chat: ChatPage, label: str) -> Locator:
    return chat.page.get_by_role("spinbutton", name=label)


def save(chat: ChatPage, name: str, confirm: str) -> None:
    opener = chat.button("Save as a preset")
    opener.focus()
    opener.press("Enter")
    box = chat.page.get_by_role("textbox", name="Name of the preset")
    expect(box).to_be_focused()
    box.fill(name)
    expect(chat.page.get_by_role("dialog").get_by_role("button", name=confirm, exact=True)).to_be_enabled()
    box.press("Enter")
    expect(chat.page.get_by_role("dialog")).to_have_count(0)
    expect(opener).to_be_focused()


def test_a_preset_that_is_refused_is_not_kept(open_chat) -> None:
    chat: ChatPage = open_chat("echo", locale="en-US")
    options = chat.page.get_by_role("combobox", name="Presets", exact=True).locator("option")
    save(chat, "First", "Save")
    expect(options.filter(has_text="First")).to_have_count(1)
    chat.page.get_by_label("Seed").fill("abc")
    save(chat, "Second", "Save")
    expect(chat.page.get_by_test_id("toast-body")).to_be_visible()
    chat.page.get_by_label("Seed").fill("7")
    save(chat, "Third", "Save")
    expect(options.filter(has_text="Third")).to_have_count(1)
    expect(options.filter(has_text="Second")).to_have_count(0)
    assert chat.page.evaluate("JSON.parse(localStorage.getItem('minicpm-v-presets:Echo')).Third.seed") == 7


def test_what_changes_the_options_otherwise_ends_the_choice(open_chat, examples: Path) -> None:
    chat: ChatPage = open_chat("echo", locale="en-US")
    page, presets = chat.page, chat.page.get_by_role("combobox", name="Presets", exact=True)

    def choose(label: str) -> Locator:
        presets.select_option(label=label)
        chosen = presets.locator("option:checked")
        expect(chosen).to_have_text(label)
        return chosen

    chat.ask("earlier")
    chosen = choose("Creative")
    expect(number(chat, "Temperature")).to_have_value("1")
    page.locator(".option-temperature .reset-button").click()
    expect(chosen).to_have_text("Choose a preset")
    choose("Precise")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    expect(chosen).to_have_text("Precise")
    page.locator(".talk-open").click()
    expect(chat.messages).to_have_count(2)
    expect(chosen).to_have_text("Choose a preset")
    choose("Precise")
    expect(page.get_by_role("radio", name="Beam Search")).to_be_checked()
    chat.attach(examples / "pair_1.png")
    chat.send("/oom")
    expect(chat.messages.last).to_contain_text("ran out of memory")
    chat.idle()
    chat.messages.last.get_by_role("button", name="4 slices per image").click()
    expect(chosen).to_have_text("Choose a preset")


def test_each_model_has_its_own_presets(open_chat) -> None:
    chat: ChatPage = open_chat("echo", locale="en-US")
    presets = chat.page.get_by_role("combobox", name="Presets", exact=True)

    def shown() -> list[str]:
        return presets.locator("optgroup[label=Yours] option").all_text_contents()

    def kept(key: str) -> list[str]:
        return chat.page.evaluate(f"Object.keys(JSON.parse(localStorage.getItem('minicpm-v-presets{key}')) || {{}})")

    # One that was kept before, when all models shared them.
    chat.page.evaluate("localStorage.setItem('minicpm-v-presets', JSON.stringify({Old: {temperature: 0.4}}))")
    chat.page.evaluate("localStorage.setItem('minicpm-v-presets:Other', JSON.stringify({Else: {temperature: 0.5}}))")
    chat.reload()
    expect(presets.locator("option", has_text="Old")).to_have_count(1)
    assert shown() == ["Old"]
    presets.select_option(label="Old")
    expect(number(chat, "Temperature")).to_have_value("0.4")
    assert (kept(""), kept(":Echo")) == ([], ["Old"])
    save(chat, "New", "Save")
    expect(presets.locator("option:checked")).to_have_text("New")
    assert shown() == ["New", "Old"]

    chat.page.locator(".title h1").evaluate("heading => { heading.textContent = 'Other'; }")
    expect(presets.locator("option", has_text="Else")).to_have_count(1)
    assert shown() == ["Else"]
    assert (kept(":Echo"), kept(":Other")) == (["Old", "New"], ["Else"])
