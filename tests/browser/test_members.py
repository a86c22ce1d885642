"""Every model that has a tiny checkpoint answers on the page, which shows only what the model can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import expect

from tests.browser.conftest import ChatPage, serving
from tests.checkpoints import CHECKPOINTS
from tests.variants import briefly

pytestmark = pytest.mark.browser

SCRIPTS = {"minicpm-v-2_6": "web_demo_2.6.py", "minicpm-llama3-v-2_5": "web_demo_2.5.py"}
QUICK = (*SCRIPTS, "minicpm-v-2")  # one for each script
ONE_IMAGE = ("minicpm-v-2", "minicpm-v-1", "omnilmm-12b")


@pytest.fixture(
    scope="module",
    params=briefly(QUICK, CHECKPOINTS),
)
def started(
    request: pytest.FixtureRequest, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The name of a model whose server was started with its own script, and what the server says.

    It ends before the next one starts.
    """
    checkpoint = Path(__file__).parents[1] / "golden" / request.param / "checkpoint"
    command = [
        *(SCRIPTS.get(request.param, "web_demo.py"), "--port", "{port}", "--model", str(checkpoint)),
        *("--device", "cpu", "--dtype", "fp32", "--max-new-tokens", "24"),
    ]
    log = tmp_path_factory.mktemp("member") / "log"
    with serving(command, log) as servers[request.param]:
        yield request.param, log


@pytest.fixture
def member(started: tuple[str, Path], open_chat) -> tuple[str, ChatPage]:
    """A model's name and a page of its server."""
    return started[0], open_chat(started[0])


def test_it_answers_and_shows_what_it_can(member: tuple[str, ChatPage], examples: Path) -> None:
    name, chat = member
    answer = chat.ask("What is in the picture?", examples / "shapes.png")
    expect(answer).to_contain_text(re.compile(r"[1-9]\d* tokens .* [1-9]\d* vision tokens"))
    single = name in ONE_IMAGE
    expect(chat.page.get_by_role("tab", name="Few Shot")).to_have_count(0 if single else 1)
    expect(chat.page.get_by_text("System Prompt", exact=True)).to_have_count(0 if single else 1)
    expect(chat.page.get_by_text("Max Frames", exact=True)).to_have_count(0 if single else 1)
    whole = name in ("minicpm-v-1", "omnilmm-12b")
    expect(chat.page.get_by_text("Max Slices", exact=True)).to_have_count(0 if whole else 1)
    chat.ask("And what else?")
    expect(chat.messages).to_have_count(4)


def test_its_endpoint_answers(started: tuple[str, Path], servers: dict[str, str], examples: Path) -> None:
    """As scripts ask it; that each script takes each member is in tests/test_scripts.py."""
    name, log = started
    params = {"do_sample": False, "num_beams": 1, "max_new_tokens": 12}
    files = [handle_file(str(examples / "shapes.png"))]
    client = Client(servers[name], verbose=False)
    assert client.predict("What is in the picture?", files, [], params, api_name="/chat").strip()
    assert "Traceback" not in log.read_text("utf-8")


def test_a_second_image_is_refused_by_models_of_one(member: tuple[str, ChatPage], examples: Path) -> None:
    name, chat = member
    if name not in ONE_IMAGE:
        chat.ask("Compare.", examples / "pair_1.png", examples / "pair_2.png")
        return
    chat.attach(examples / "pair_1.png", examples / "pair_2.png")
    chat.send("Compare.")
    expect(chat.page.get_by_text(re.compile("has 2 images; .* takes 1")).first).to_be_visible()
    expect(chat.box).to_have_value("Compare.")
