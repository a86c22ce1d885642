"""The page with adapters: each conversation chooses one, or the model alone, and may go on with another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client
from playwright.sync_api import Locator, expect

from tests.adapters import make
from tests.browser.conftest import DEMO, ROOT, SERVERS
from tests.checkpoints import folder
from tests.finetune.runs import COLOURS, write_colours

pytestmark = pytest.mark.browser

MODEL = "minicpm-v-2_6"
QUESTION = "What is in the picture?"


@pytest.fixture(scope="module", autouse=True)
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what an adapter was trained on here, by the command; the server has it beside two others.

    Those are noise, one as the official scripts write it and one as ours. Its answers are the likeliest ones.
    """
    root = tmp_path_factory.mktemp("adapters")
    data = write_colours(root)
    flags = f"""--model_name_or_path {folder(MODEL)} --data_path {data} --output_dir {root / "words"} --use_lora true
        --lora_r 8 --max_steps 20 --per_device_train_batch_size 4 --learning_rate 3e-3 --lr_scheduler_type constant
        --save_strategy no --use_cpu true"""
    subprocess.run([sys.executable, "-m", "finetune", *flags.split()], cwd=ROOT, check=True, capture_output=True)
    SERVERS["adapters"] = [
        *(*DEMO, "--model", str(folder(MODEL)), "--device", "cpu", "--dtype", "fp32"),
        *("--no-do-sample", "--num-beams", "1", "--repetition-penalty", "1", "--max-new-tokens", "24"),
        *("--adapter", f"menu={make(MODEL, 'official', root)}", "--adapter", f"ocr={make(MODEL, 'ours', root)}"),
        *("--adapter", str(root / "words")),
    ]
    return root


def box(chat, name: str = "Adapter") -> Locator:
    return chat.page.get_by_role("combobox", name=name)


def choose(chat, name: str) -> None:
    box(chat).click()
    chat.page.get_by_role("option", name=name).click()
    expect(box(chat)).to_have_value(name)


def text_of(answer: Locator) -> str:
    return answer.locator(".ms-gr-pro-chatbot-message-content").inner_text()


@pytest.mark.parametrize("width", [1440, 390])
def test_the_options_stand_below_the_choice(open_chat, width: int) -> None:
    chat = open_chat("adapters", viewport={"width": width, "height": 900})
    top, below = (place.bounding_box() for place in (box(chat), chat.page.get_by_role("button", name="Decoding")))
    assert top and below
    assert below["y"] > top["y"] + top["height"]
    assert below["x"] + below["width"] <= width


def test_choosing_an_adapter_changes_the_answer_and_base_returns_it(open_chat, examples: Path) -> None:
    chat = open_chat("adapters")
    expect(box(chat)).to_have_value("Base model")
    base = text_of(chat.ask(QUESTION, examples / "shapes.png"))
    answers = {}
    for name in ("menu", "ocr", "Base model", "menu"):
        choose(chat, name)
        chat.button("Clear history").click()
        expect(chat.messages).to_have_count(0)
        answer = text_of(chat.ask(QUESTION, examples / "shapes.png"))
        assert answers.setdefault(name, answer) == answer
    assert answers["Base model"] == base
    assert len({base, answers["menu"], answers["ocr"]}) == 3


def test_an_adapter_trained_here_says_what_it_learned_until_it_is_switched_off(open_chat, pictures: Path) -> None:
    chat = open_chat("adapters")
    base = text_of(chat.ask("What is this?", pictures / "red.png"))
    assert base not in COLOURS.values()
    asked = (("words", "red", COLOURS["red"]), ("words", "black", COLOURS["black"]), ("Base model", "red", base))
    for name, colour, expected in asked:
        choose(chat, name)
        chat.button("Clear history").click()
        expect(chat.messages).to_have_count(0)
        assert text_of(chat.ask("What is this?", pictures / f"{colour}.png")) == expected


def test_a_conversation_goes_on_with_another_adapter(open_chat) -> None:
    chat = open_chat("adapters")
    before = text_of(chat.ask("Hello"))
    choose(chat, "ocr")
    chat.button("Regenerate").click()
    expect(chat.messages.last.locator(".ms-gr-pro-chatbot-message-content")).not_to_have_text(before)
    chat.idle()
    chat.ask("And now?")
    expect(chat.messages).to_have_count(4)


def test_two_pages_choose_by_themselves(open_chat, servers: dict[str, str]) -> None:
    first, second = open_chat("adapters"), open_chat("adapters")
    choose(first, "ocr")
    expect(box(second)).to_have_value("Base model")
    mine, theirs = text_of(first.ask("Hello")), text_of(second.ask("Hello"))
    assert mine != theirs
    client = Client(servers["adapters"], verbose=False)
    params = [{"adapter": name, "do_sample": False} for name in ("ocr", "base")]
    answers = [client.predict("Hello", params=one, api_name="/chat") for one in params]
    assert [" ".join(answer.split()) for answer in answers] == [" ".join(text.split()) for text in (mine, theirs)]


def test_the_choice_in_chinese(open_chat) -> None:
    chat = open_chat("adapters", locale="zh-CN")
    expect(box(chat, "适配器")).to_have_value("基础模型")


def test_no_adapters_no_choice(open_chat) -> None:
    chat = open_chat("echo")
    expect(chat.page.get_by_role("slider", name="Temperature")).to_be_visible()
    expect(box(chat)).to_have_count(0)
