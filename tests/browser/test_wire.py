"""What passes between the page and the server: what comes early, and what comes of an event that was ended."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import ChatPage

pytestmark = pytest.mark.browser


def late(chat: ChatPage, route: Route, milliseconds: int) -> None:
    """Have the reply to a call come late."""
    reply = route.fetch()
    chat.page.wait_for_timeout(milliseconds)
    route.fulfill(response=reply)


def test_what_the_first_step_of_an_answer_says_is_heard_though_the_reply_to_the_call_is_late(chat: ChatPage) -> None:
    chat.page.route(re.compile(r"/queue/join"), lambda route: late(chat, route, 700))
    chat.write("/slow one two three")
    chat.page.wait_for_timeout(600)  # the meter's call holds the stream open
    chat.send_button.click()
    expect(chat.stop_button).to_be_visible()
    expect(chat.box).to_have_value("")
    expect(chat.footers).to_have_count(1)
    chat.idle()
    chat.page.unroute_all(behavior="wait")


def test_another_conversation_ends_an_answer_whose_call_has_no_reply_yet(chat: ChatPage) -> None:
    chat.ask("/slow one two three")
    ends: list[dict] = []
    chat.page.on("request", lambda call: ends.append(call.post_data_json) if call.url.endswith("/cancel") else None)
    calls: list[Route] = []
    hold = lambda route: route.continue_() if calls else calls.append(route)  # noqa: E731
    chat.page.route(re.compile(r"/queue/join"), hold)
    with chat.page.expect_request(re.compile(r"/queue/join")):
        chat.button("Regenerate").click()
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    assert ends == []
    with chat.page.expect_request(re.compile("/cancel$")):
        calls[0].continue_()
    assert ends[0]["event_id"]
    chat.page.wait_for_timeout(2000)  # an answer would have come and shown
    expect(chat.messages).to_have_count(0)
    expect(chat.stop_button).to_have_count(0)
    expect(chat.ask("go on")).to_contain_text("Message 1")


def test_nothing_is_heard_of_an_event_that_was_ended_but_that_it_is_over(chat: ChatPage) -> None:
    steps = [
        {"msg": "process_generating", "event_id": "left", "output": {"data": [["old"]]}},
        {"msg": "process_generating", "event_id": "open", "output": {"data": [["left"]]}},
        {"msg": "process_completed", "event_id": "left", "output": {"data": [["old"]]}, "success": True},
        {"msg": "close_stream", "event_id": None},
    ]
    text = "".join(f"data: {json.dumps(step)}\n\n" for step in steps)
    chat.page.route("**/cancel", lambda route: route.fulfill(json={}))
    chat.page.route("**/queue/data?of=a-test", lambda route: route.fulfill(body=text, content_type="text/event-stream"))
    heard = """async () => {
        const said = await (await fetch("gradio_api/queue/data?of=a-test")).text();
        return said.split("\\n\\n").filter(Boolean).map((block) => JSON.parse(block.slice("data: ".length)));
    }"""
    assert chat.page.evaluate(heard) == steps
    end = """() => fetch("gradio_api/cancel", { method: "POST", body: JSON.stringify({ event_id: "left" }) })"""
    chat.page.evaluate(f"async () => {{ await ({end})(); }}")
    assert chat.page.evaluate(heard) == [steps[1], {**steps[2], "output": {}}, steps[3]]
    assert chat.page.evaluate(heard) == steps, "its name is forgotten with its end"
