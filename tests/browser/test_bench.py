"""The video bench: what its strip shows is sent, and times in an answer jump the player."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser


def bench(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("region", name=re.compile("^Video 1"))


def test_the_strip_is_what_is_sent_and_kept(open_chat, examples: Path, tmp_path: Path) -> None:
    chat = open_chat("echo", viewport={"width": 1440, "height": 900})  # with a store of its own
    chat.attach(examples / "ball.mp4")
    frames = bench(chat).get_by_role("button")
    expect(frames).to_have_count(10)
    bench(chat).get_by_label("How frames are chosen").select_option("count")
    bench(chat).get_by_label("Number of frames").fill("4")
    bench(chat).get_by_label("Number of frames").press("Tab")
    expect(frames).to_have_count(4)
    frames.nth(1).click()
    expect(frames.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(bench(chat)).to_contain_text("3 frames will be sent")
    chat.shoot("bench")
    chat.page.wait_for_function("talks.record(talks.current())?.draft?.files[0].choice?.dropped?.length")
    chat.page.evaluate("talks.settled()")
    chat.reload()
    expect(bench(chat)).to_contain_text("3 frames will be sent")
    chat.send("Where is it at [00:02]? And in frame 2?")
    expect(chat.footers).to_have_count(1)
    answer = chat.messages.last
    expect(answer).to_contain_text("video 1 of 3 frames")
    answer.get_by_role("button", name="Jump to [00:02]").click()
    now = "document.querySelector('.conversation video').currentTime"
    chat.page.wait_for_function(f"{now} > 1.9 && {now} < 2.1")
    answer.get_by_role("button", name="Jump to frame 2").click()
    chat.page.wait_for_function(f"{now} > 4.9 && {now} < 5.1")
    chat.page.evaluate("document.querySelector('.conversation video').currentTime = 0")
    answer.get_by_role("button", name="Jump to frame 2").click()  # once more
    chat.page.wait_for_function(f"{now} > 4.9 && {now} < 5.1")
    expect(bench(chat)).to_have_count(0)

    chat.idle()
    chat.page.evaluate("talks.settled()")
    chat.reload()
    expect(regenerated(chat)).to_contain_text("video 1 of 3 frames")
    imported(chat, tmp_path / "talk.zip")
    expect(regenerated(chat)).to_contain_text("video 1 of 3 frames")


def test_a_time_jumps_the_clip_that_is_named_before_it(open_chat, examples: Path) -> None:
    chat = open_chat("verbatim")
    chat.attach(examples / "ball.mp4", examples / "ball.mp4")
    words = "At [00:01] it is up. In video 2 it falls at [00:02], in the first clip at [00:03]. 第二段视频 [00:04]"
    answer = chat.ask(words)
    now = "[...document.querySelectorAll('.conversation video')].map((video) => Math.round(video.currentTime)).join()"
    for time, both in (("00:01", "1,0"), ("00:02", "1,2"), ("00:03", "3,2"), ("00:04", "3,4")):
        answer.get_by_role("button", name=f"Jump to [{time}]").click()
        chat.page.wait_for_function(f"{now} == '{both}'")


def test_frames_clicked_one_after_another_are_all_left_out(chat: ChatPage, examples: Path) -> None:
    chat.attach(examples / "ball.mp4")
    frames = bench(chat).get_by_role("button")
    expect(frames).to_have_count(10)
    chat.page.evaluate("""[...document.querySelectorAll('.bench-frame')].slice(2, 5).forEach(frame => frame.click())""")
    expect(bench(chat)).to_contain_text("7 frames will be sent")
    expect(bench(chat).locator("[aria-pressed=true]")).to_have_count(3)
    frames.nth(3).click()
    expect(bench(chat)).to_contain_text("8 frames will be sent")


def test_another_mode_begins_with_a_number_of_its_own(chat: ChatPage, examples: Path) -> None:
    chat.attach(examples / "ball.mp4")
    frames = bench(chat).get_by_role("button")
    expect(frames).to_have_count(10)
    mode = bench(chat).get_by_label("How frames are chosen")
    mode.select_option("scenes")
    expect(bench(chat).get_by_label("Scene changes")).to_have_value("10")
    mode.select_option("count")
    expect(bench(chat).get_by_label("Number of frames")).to_have_value("10")
    mode.select_option("fps")
    expect(bench(chat).get_by_label("Frames per second")).to_have_value("1")
    expect(frames).to_have_count(10)


def test_a_number_that_is_refused_does_not_stay(chat: ChatPage, examples: Path) -> None:
    chat.attach(examples / "ball.mp4")
    rate = bench(chat).get_by_label("Frames per second")
    expect(rate).to_have_value("1")
    for number in ("5000", "6000"):
        rate.fill(number)
        rate.press("Tab")
        expect(chat.page.get_by_text(f"got {number}")).to_be_visible()
        expect(rate).to_have_value("1")


def test_the_strip_follows_max_frames(chat: ChatPage, examples: Path) -> None:
    chat.attach(examples / "ball.mp4")
    expect(bench(chat)).to_contain_text("10 frames will be sent")
    limit = chat.page.locator(".option-max_frames input[type=number]")
    limit.fill("8")
    limit.press("Tab")
    expect(bench(chat)).to_contain_text("8 frames will be sent")


def test_a_frame_is_found_in_the_second_clip_and_by_a_later_answer(open_chat, examples: Path) -> None:
    chat = open_chat("verbatim")
    chat.ask("Watch [video 1] [video 2]", examples / "ball.mp4", examples / "ball.mp4")
    answer = chat.ask("In frame 13 and in frame 2.")
    times = "[...document.querySelectorAll('.conversation video')].map(video => Math.round(video.currentTime))"
    answer.get_by_role("button", name="Jump to frame 13").click()
    chat.page.wait_for_function(f"String({times}) === '0,2'")
    answer.get_by_role("button", name="Jump to frame 2").click()
    chat.page.wait_for_function(f"String({times}) === '1,2'")


def regenerated(chat: ChatPage) -> Locator:
    """The answer once it has been written again, with another seed than before."""
    expect(chat.footers).to_have_count(1)
    seed = chat.page.get_by_label("Seed")
    seed.fill(str(int(seed.input_value() or 0) + 1))
    chat.button("Regenerate").click()
    expect(chat.messages.last).to_contain_text(f"seed={seed.input_value()}")
    chat.idle()
    return chat.messages.last


def imported(chat: ChatPage, file: Path) -> None:
    """Take the conversation out of the browser and bring it in again."""
    chat.button("More about Where is it at [00:02]? And in frame 2?").click()
    with chat.page.expect_download() as waiting:
        chat.page.get_by_role("menuitem", name="Export as .zip").click()
    waiting.value.save_as(file)
    with chat.page.expect_file_chooser() as chooser:
        chat.button("Import a conversation (.zip)").click()
    chooser.value.set_files(file)
    expect(chat.page.locator(".talk-open")).to_have_count(2)
