"""How turns look: footers, progress, failures."""

from __future__ import annotations

import json

import pytest

from app.errors import AppError, ContextLengthError, GenerationError, MediaError, OutOfMemoryError, RequestError
from app.messages import Message, Notice, Progress, Usage
from app.meter import Fix
from app.sampling import SamplingParams
from app.session import Session
from app.talks.form import to_json
from app.talks.reading import read_tree
from app.texts import Phrase, translated
from app.turn import Turn
from app.ui.page_state import Page
from app.ui.transcript import footer, progress_text, transcript, turn_at

USAGE = Usage(prompt_tokens=900, vision_tokens=640, new_tokens=1200, ttft=0.5, tokens_per_second=23.46)


def turn(**fields) -> Turn:
    return Turn(Message.of("user", "hi"), **fields)


def page_of(*turns: Turn, **fields) -> Page:
    page = Page(**fields)
    page.session.turns = list(turns)
    return page


def answer_texts(page: Page, index: int = 1) -> list[str]:
    return [content["content"] for content in transcript(page)[index]["content"]]


def test_footer_has_the_figures() -> None:
    text = footer(turn(answer="x", state="done", usage=USAGE), "en")
    assert text == "1,200 tokens · 23.5 tokens/s · first token after 0.50 s · 640 vision tokens"


def test_footer_leaves_out_what_is_unknown_and_shows_what_was_reused() -> None:
    usage = Usage(new_tokens=1, cached_tokens=64, cached_slices=10)
    text = footer(turn(answer="x", state="done", usage=usage), "en")
    assert text == "1 token · 0 vision tokens · 64 tokens reused · 10 slices reused"


@pytest.mark.parametrize(("state", "word"), [("stopped", "Stopped"), ("failed", "Failed"), ("example", "Example")])
def test_footer_marks_what_is_no_ordinary_answer(state: str, word: str) -> None:
    assert footer(turn(state=state), "en") == word


def test_progress_counts() -> None:
    assert progress_text(Progress("encode_images", 2, 6), "en") == "Encoding the images 2/6 …"
    assert progress_text(Progress("queue"), "zh") == "正在排队 …"
    assert progress_text(Progress("queue", 3), "en") == "Waiting, number 3 in line …"
    assert progress_text(Progress("queue", 3, seconds=41.6), "en") == "Waiting, number 3 in line, about 42 s …"


def test_two_messages_per_turn_with_lasting_keys() -> None:
    first = turn(answer="a", state="done")
    messages = transcript(page_of(first, turn()))
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2
    assert messages[0]["key"] == f"{first.key}-user"


def test_pending_turn_shows_progress_until_there_is_text() -> None:
    waiting = page_of(turn(), progress=Progress("prefill"))
    assert answer_texts(waiting) == ["Reading the prompt …"]
    assert transcript(waiting)[1]["status"] == "pending"
    assert transcript(page_of(turn()))[1]["loading"] is True
    assert answer_texts(page_of(turn(answer="so far"), progress=Progress("prefill"))) == ["so far"]


def test_failed_turn_keeps_the_partial_answer_and_says_why() -> None:
    page = page_of(turn(answer="half", state="failed", error=GenerationError("It <broke>.", "Try again.")))
    assert answer_texts(page) == ["half", "**It &lt;broke>.** Try again."]
    assert "answer-failed" in transcript(page)[1]["elem_classes"].split()


def test_model_text_is_escaped_and_copied_as_it_was_written() -> None:
    shown, source = transcript(page_of(turn(answer="<box>1</box>", state="done")))[1]["content"]
    assert shown["content"] == "&lt;box>1&lt;/box>" and not shown["copyable"] and not shown["editable"]
    assert source["content"] == "<box>1</box>" and source["type"] == "tool"


def test_notice_of_dropped_turns() -> None:
    page = page_of(turn(answer="a", state="done", notices=(Notice("turns_dropped", 4),)))
    assert "4 messages" in answer_texts(page)[0]


def test_a_message_that_was_not_sent_is_the_last_bubble() -> None:
    messages = transcript(page_of(turn(answer="a", state="done"), rejected=MediaError("Bad file.")))
    assert len(messages) == 3
    assert messages[-1]["footer"] == "Not sent"


def test_positions_lead_back_to_turns() -> None:
    page = page_of(turn(), turn())
    assert turn_at(page.session, 3) == (page.session.turns[1], True)
    for index in (-1, 4):
        with pytest.raises(RequestError):
            turn_at(page.session, index)


def test_thinking_is_open_while_it_lasts_and_folded_behind_the_answer() -> None:
    thinking = turn(thinking="<b>hm</b>", state="pending")
    content = transcript(page_of(thinking))[1]["content"]
    assert [item["type"] for item in content] == ["tool"]
    assert content[0]["options"] == {"title": "Thinking", "status": "pending"}
    assert content[0]["content"] == "&lt;b>hm&lt;/b>"
    answered = transcript(page_of(turn(thinking="hm", answer="Two.", state="done")))[1]["content"]
    assert [(item["type"], item["content"]) for item in answered] == [("tool", "hm"), ("text", "Two.")]
    assert answered[0]["options"]["status"] == "done"
    assert not answered[0]["copyable"] and not answered[0]["editable"]


@pytest.mark.parametrize("error", [OutOfMemoryError(Phrase("echo_no_memory")), ContextLengthError(1500, 1000)])
def test_a_turn_without_room_says_so_and_offers_the_same_after_a_reload(error: AppError) -> None:
    failed = turn(state="failed", error=error, params=SamplingParams(), fixes=(Fix("max_frames", 8),))
    page = page_of(failed, locale="zh")
    shown = answer_texts(page)
    assert "fix--max_frames--8" in shown[1] and "fix--retry" in shown[1] and translated(error.message, "zh") in shown[0]
    kept = json.loads(json.dumps(to_json(page.session.tree, lambda path: "")))
    page.session = Session(read_tree(kept, {}))
    assert answer_texts(page) == shown
