"""What can be done with an answer and a prompt: tables as CSV, ratings with a reason, ready texts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DEMO, SERVERS

pytestmark = pytest.mark.browser


def test_a_table_downloads_as_csv(open_chat) -> None:
    chat = open_chat("verbatim")
    answer = chat.ask('| name | count |\n|---|---|\n| a, "b" | 1 |\n| 图 < x | 2 |\n')
    with chat.page.expect_download() as download:
        answer.get_by_role("button", name="Download the table as CSV").click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    assert text.splitlines() == ["name,count", '"a, ""b""",1', "图 < x,2"]


def test_a_table_with_formulas_is_text_for_a_spreadsheet(open_chat) -> None:
    chat = open_chat("verbatim")
    rows = ("\\(x^2\\) m", '=HYPERLINK("http://a","b")', "@SUM(A1)", "-3.5", "+1,000", "-", "-A1", "+1e5 %")
    answer = chat.ask("| value |\n|---|\n" + "".join(f"| {row} |\n" for row in rows))
    expect(answer.locator("td .katex")).to_have_count(1)
    with chat.page.expect_download() as download:
        answer.get_by_role("button", name="Download the table as CSV").click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    shown = ["x^2 m", '"\'=HYPERLINK(""http://a"",""b"")"', "'@SUM(A1)", "-3.5", '"+1,000"', "-", "'-A1", "+1e5 %"]
    assert text.splitlines()[1:] == shown


def test_code_and_formulas_need_no_other_host(open_chat) -> None:
    chat = open_chat("verbatim")
    answer = chat.ask("$$\\int_0^1 x\\,dx$$\n\n```python\nprint('hi')\n```\n")
    expect(answer.locator(".katex")).to_have_count(1)
    chat.page.wait_for_function(
        "[...document.fonts].some(font => font.family == 'KaTeX_Main' && font.status == 'loaded')"
    )
    expect(answer.locator("pre code")).to_contain_text("print('hi')")
    assert chat.foreign == []


def test_a_template_fills_the_box_and_a_library_the_system_prompt(chat) -> None:
    chat.page.locator("summary", has_text="Templates").click()
    chat.button("Find").click()
    expect(chat.box).to_have_value("Where is the … ? Give a box.")
    chat.page.keyboard.insert_text("cat")  # in place of the blank
    expect(chat.box).to_have_value("Where is the cat ? Give a box.")
    chat.page.locator("summary", has_text="System prompts").click()
    chat.button("Short").click()
    expect(chat.page.get_by_label("System Prompt")).to_have_value("Answer in one short sentence.")
    answer = chat.ask("hello")
    expect(answer).to_contain_text("system_prompt='Answer in one short sentence.'")


def test_templates_in_chinese(open_chat) -> None:
    chat = open_chat("echo", locale="zh-CN")
    chat.page.locator("summary", has_text="提示模板").click()
    chat.button("翻译").click()
    expect(chat.page.get_by_placeholder("就你的图片和视频提问")).to_have_value("把图中的文字翻译成中文，保留分行。")


def test_a_rating_and_its_reason_are_kept(open_chat, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("feedback") / "likes.jsonl"
    SERVERS["rated"] = [*DEMO, "--backend", "echo", "--feedback", str(file)]
    chat = open_chat("rated")
    answer = chat.ask("rate me")
    answer.get_by_role("button", name="Dislike").click()
    reason = chat.page.get_by_label("Why? (kept on this server)")
    reason.fill("too long")
    chat.button("Send reason").click()
    expect(reason).to_be_hidden()
    first, second = map(json.loads, file.read_text("utf-8").splitlines())
    assert first["question"] == "rate me" and first["liked"] is False and first["answer"].startswith("Message 1")
    assert second == {"id": first["id"], "reason": "too long"}


def test_a_rating_stays_marked_and_is_taken_back(open_chat, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("feedback") / "likes.jsonl"
    SERVERS["rated again"] = [*DEMO, "--backend", "echo", "--feedback", str(file)]
    chat = open_chat("rated again")
    chat.ask("rate me")
    like = chat.message(1).get_by_role("button", name="Like", exact=True)
    marked = re.compile("ms-gr-ant-btn-color-primary")
    like.click()
    expect(chat.page.get_by_label("Why? (kept on this server)")).to_be_visible()
    chat.until("async () => (await talkStore.get(talks.current())).talk.turns[0].rating?.liked")
    chat.reload()
    expect(like).to_have_class(marked)
    chat.ask("go on")
    expect(like).to_have_class(marked)
    like.click()
    expect(chat.page.get_by_label("Why? (kept on this server)")).to_be_hidden()
    chat.ask("and on")
    expect(like).not_to_have_class(marked)
    first, second = map(json.loads, file.read_text("utf-8").splitlines())
    assert (first["liked"], second["liked"]) == (True, None) and first["id"] == second["id"]


def test_without_a_file_nothing_is_rated(chat) -> None:
    answer = chat.ask("hello")
    expect(answer.get_by_role("button", name="Like")).to_have_count(0)
