"""What holds for the page as a whole."""

from __future__ import annotations

import inspect
from copy import deepcopy
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.backends.base import Capabilities, LoadStatus
from app.backends.echo import EchoBackend
from app.engine.tickets import MAX_WAITING
from app.settings import Settings
from app.ui.demo import build_demo, launch, theme
from app.ui.howto_tab import DRAFTS, FEW_SHOT
from app.ui.page_state import Page
from app.ui.status_line import status_html

SETTINGS = Settings(model="none", port=8000, backend="echo")


class Loading(EchoBackend):
    """Reports whatever status it is given."""

    def __init__(self, status: LoadStatus, *, random_weights: bool = False) -> None:
        super().__init__()
        self._status, self._random = status, random_weights

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(model="Test", random_weights=self._random)

    def status(self) -> LoadStatus:
        return self._status


def test_nothing_but_chat_is_callable_from_outside() -> None:
    config = build_demo(EchoBackend(), SETTINGS).config
    public = [item["api_name"] for item in config["dependencies"] if item["api_visibility"] != "private"]
    assert public == ["chat"]


def test_the_conversation_is_never_an_input() -> None:
    config = build_demo(EchoBackend(), SETTINGS).config
    chatbots = {item["id"] for item in config["components"] if "chatbot" in item["type"]}
    assert chatbots
    assert not any(chatbots & set(item["inputs"]) for item in config["dependencies"])


def test_every_page_has_its_own_session() -> None:
    first = Page()
    assert deepcopy(first).session is not first.session


def test_a_page_that_nobody_uses_lets_the_processor_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []
    monkeypatch.setattr(
        "gradio.Blocks.launch",
        lambda demo, **_: seen.append((demo._queue.sleep_when_free, demo._queue.progress_update_sleep_when_free)),
    )
    settings = Settings(model="none", backend="echo")
    launch(build_demo(EchoBackend(), settings), settings)
    # Seconds; Gradio's own are 0.001 and 0.01.
    assert seen == [(0.05, 0.1)]


def test_as_many_as_wait_in_the_backend_get_through_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, int]] = []

    def launched(demo: gr.Blocks, **options: Any) -> None:
        answers = [fn for fn in demo.fns.values() if inspect.isgeneratorfunction(fn.fn)]
        limits = {demo._queue.default_concurrency_limit if fn.concurrency_limit == "default" else fn.concurrency_limit
                  for fn in answers}  # fmt: skip
        seen.append((min(limits), options["max_threads"], demo._queue.max_size))

    monkeypatch.setattr("gradio.Blocks.launch", launched)
    settings = Settings(model="none", backend="echo")
    launch(build_demo(EchoBackend(), settings), settings)
    ((limit, threads, waiting),) = seen
    assert limit >= MAX_WAITING and threads > limit and waiting >= limit


def test_no_font_is_fetched() -> None:
    assert not [sheet for sheet in theme()._stylesheets if sheet.startswith("http")]


def test_example_files_ship_and_are_small() -> None:
    files = [path for example in (*DRAFTS, FEW_SHOT) for path in example.paths]
    assert sum(Path(path).stat().st_size for path in files) < 600_000


def test_status() -> None:
    assert status_html(EchoBackend(), "en") == ""
    assert "noise" in status_html(Loading(LoadStatus("ready"), random_weights=True), "en")
    assert "weights 40%" in status_html(Loading(LoadStatus("loading", "weights", 0.4)), "en")
    failed = status_html(Loading(LoadStatus("failed", "<no> file")), "zh")
    assert "模型加载失败" in failed and "&lt;no&gt; file" in failed


def test_an_engine_that_is_away_is_said_and_looked_for() -> None:
    away = Loading(LoadStatus("away", "The engine at http://gpu:8000 does not answer (connection refused)."))
    assert "does not answer yet" in status_html(away, "en") and "http://gpu:8000" in status_html(away, "en")
    assert "尚无响应" in status_html(away, "zh")


def test_a_page_built_before_the_engine_answers_asks_again_when_it_is_opened() -> None:
    def renewed(backend: EchoBackend) -> set[str]:
        """Classes of the components that opening the page fills."""
        page = build_demo(backend, SETTINGS).config
        components = {each["id"]: each["props"] for each in page["components"]}
        loads = {each["id"] for each in page["dependencies"] if [event for _, event in each["targets"]] == ["load"]}
        after = [each for each in page["dependencies"] if {each["id"], each["trigger_after"]} & loads]
        filled = [components[output] for each in after for output in each["outputs"]]
        return {name for props in filled for name in props.get("elem_classes") or []}

    class Elsewhere(EchoBackend):
        settled = False

    elsewhere, here = renewed(Elsewhere()), renewed(EchoBackend())
    assert "title" in elsewhere - here, (elsewhere, here)
