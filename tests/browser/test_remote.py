"""The page in front of another process that serves the model behind the OpenAI protocol."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from benchmarks.ports import free_port
from tests.browser.conftest import DEMO, SERVERS, TINY
from tests.embedded import QUERIES
from tests.remote.fake_engine import FakeEngine, Quirks, serve

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def endpoint(servers: dict[str, str]) -> str:
    """The embedded model with its page and the API; a page in front of it is the server "remote"."""
    SERVERS["endpoint"] = [*DEMO, "--model", str(TINY), "--device", "cpu", "--api"]
    SERVERS["remote"] = [*DEMO, "--backend", "openai", "--base-url", servers["endpoint"]]
    return servers["endpoint"]


@pytest.fixture(scope="module")
def endless(servers: dict[str, str]) -> str:
    """What answers as slowly as it is asked to; the page in front of it is "remote_endless"."""
    SERVERS["endless"] = [*DEMO, "--backend", "echo", "--api"]
    SERVERS["remote_endless"] = [*DEMO, "--backend", "openai", "--base-url", servers["endless"]]
    return servers["endless"]


def metrics_of(url: str) -> str:
    return urlopen(f"{url}/metrics", timeout=30).read().decode()


def test_pictures_are_answered_through_the_protocol(endpoint: str, open_chat, tmp_path: Path) -> None:
    picture = Image.new("RGB", (160, 160), (255, 255, 255))
    ImageDraw.Draw(picture).ellipse((35, 35, 125, 125), fill=(225, 30, 35))
    picture.save(tmp_path / "red.png")
    chat = open_chat("remote")
    expect(chat.ask("What colour is the circle?", tmp_path / "red.png")).to_contain_text("red")
    expect(chat.footers.last).to_contain_text(f"{QUERIES} vision tokens")
    expect(chat.ask("And its shape?")).to_contain_text("circle")
    expect(chat.footers.last).to_contain_text("tokens reused")


def test_a_clip_is_answered_through_the_protocol(endpoint: str, open_chat, examples: Path) -> None:
    chat = open_chat("remote")
    answer = chat.ask("What colour is the ball?", examples / "ball.mp4")
    expect(answer).to_contain_text(re.compile("[a-z]{3,}"))
    expect(chat.footers.last).to_contain_text("vision tokens")


def test_page_and_api_share_one_process(endpoint: str, open_chat, examples: Path) -> None:
    chat = open_chat("endpoint")
    chat.ask("What shape is in the picture?", examples / "pair_1.png")
    body = {"model": "any", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20, "temperature": 0}
    models = json.load(urlopen(f"{endpoint}/v1/models", timeout=30))
    body["model"] = models["data"][0]["id"]
    asked = Request(f"{endpoint}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    answer = json.load(urlopen(asked, timeout=60))
    assert answer["choices"][0]["message"]["content"] and answer["usage"]["completion_tokens"] > 0
    answers = re.findall(r'(?m)^minicpmv_answers_total\{end="\w+",source="(\w+)"\} [1-9]', metrics_of(endpoint))
    assert {"page", "api"} <= set(answers)


def test_stop_ends_the_work_behind_the_protocol(endless: str, open_chat) -> None:
    chat = open_chat("remote_endless")
    chat.send("/slow" + " word" * 400)
    expect(chat.message(1)).to_contain_text(re.compile("\\w"))
    assert re.search(r'(?m)^minicpmv_answers_running\{source="api"\} 1', metrics_of(endless))
    chat.stop_button.click()
    chat.idle()
    for _ in range(100):
        if re.search(r'(?m)^minicpmv_answers_running\{source="api"\} 0', metrics_of(endless)):
            break
        chat.page.wait_for_timeout(50)
    else:
        pytest.fail("The answer goes on behind the page that has stopped it.")


def engine_that_tells(few_shot: bool, *adapters: str) -> FakeEngine:
    """An engine of our own kind, by what it says of its model."""
    ours = {"object": "model", "owned_by": "minicpm-v-web-demo"}
    told = {"few_shot": few_shot, "beam_search": True, "defaults": {"top_k": 7}, "hidden_options": []}
    model = {"id": "minicpm-v", **ours, "capabilities": told}
    engine = FakeEngine("minicpm")
    cards = [model, *({"id": name, "parent": "minicpm-v", **ours} for name in adapters)]
    engine.quirks = Quirks({"object": "list", "data": cards}, wrong_model=200)
    return engine


def test_a_page_started_before_its_engine_learns_what_it_takes(open_chat) -> None:
    port = free_port()
    name = f"early_{port}"  # a page that has known an engine remembers it: another try is another page
    SERVERS[name] = [*DEMO, "--backend", "openai", "--base-url", f"http://127.0.0.1:{port}"]
    chat = open_chat(name)
    heading = chat.page.get_by_role("heading", level=1)
    few_shot = chat.page.get_by_role("tab", name="Few Shot", exact=True)
    adapter = chat.page.get_by_role("combobox", name="Adapter")
    top_k, beams = chat.page.locator(".option-top_k"), chat.page.get_by_label("Beam Search")
    line = chat.page.get_by_text("does not answer yet")
    expect(line).to_be_visible()
    for hidden in (top_k, adapter, beams):
        expect(hidden).to_be_hidden()
    with serve(engine_that_tells(False, "menu"), port) as engine:
        expect(line).to_have_count(0)
        chat.reload()
        expect(heading).to_contain_text("minicpm-v · MiniCPM-V Web Demo")
        expect(few_shot).to_be_hidden()
        expect(beams).to_be_visible()
        expect(chat.page.get_by_label("number input for Top K")).to_have_value("7")
        adapter.click()
        chat.page.get_by_role("option", name="menu").click()
        expect(chat.ask("hello")).to_contain_text("one two three four")
        assert (engine.last["model"], engine.last["top_k"]) == ("menu", 7)
    chat.send("is anybody there?")  # what tells that it is gone
    expect(chat.messages.last).to_contain_text("does not answer")
    chat.reload()
    expect(line).to_be_visible()
    with serve(engine_that_tells(True), port):
        expect(line).to_have_count(0)
        chat.reload()
        expect(few_shot).to_be_visible()
        expect(adapter).to_be_hidden()
        few_shot.click()
        expect(chat.page.get_by_role("button", name="Add Example")).to_be_visible()
