"""The files of the chat components, fetched once per release."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import Any

import gradio as gr
import modelscope_studio.components.base as ms
import pytest
from modelscope_studio.components.pro.chatbot import ModelScopeProChatbot
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.ui import component_files
from app.ui.component_files import FOREVER, PageBlocks, component_routes


def made() -> PageBlocks:
    with PageBlocks() as blocks, ms.Application():
        gr.Textbox()
        ModelScopeProChatbot()
    return blocks


def address(blocks: gr.Blocks, kind: str) -> Any:
    """Where a page asks for the files of a component."""
    (found,) = [part for part in blocks.get_config_file()["components"] if part["type"] == kind]
    return found["component_class_id"]


@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
def test_a_file_is_fetched_where_the_page_asks_for_it_and_kept(root_path: str) -> None:
    blocks = made()
    client = TestClient(Starlette(routes=component_routes(blocks)), root_path=root_path)
    folder = f"/gradio_api/custom_component/{address(blocks, 'modelscopeprochatbot')}/client/component"
    got = client.get(f"{folder}/index.js")
    assert got.status_code == 200 and "javascript" in got.headers["content-type"]
    assert got.headers["cache-control"] == FOREVER
    again = client.get(f"{folder}/index.js", headers={"If-None-Match": got.headers["etag"]})
    assert again.status_code == 304
    for path in ("no_such.js", "../../__init__.py", "%2e%2e/%2e%2e/__init__.py", ""):
        missing = client.get(f"{folder}/{path}")
        assert missing.status_code == 404 and "cache-control" not in missing.headers, path


def test_another_release_has_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    before = address(made(), "modelscopeprochatbot")
    assert before == address(made(), "modelscopeprochatbot") != ModelScopeProChatbot.get_component_class_id()
    monkeypatch.setattr(component_files, "version", lambda name: f"{name} 99")
    assert before != address(made(), "modelscopeprochatbot")


def test_what_gradio_has_itself_or_no_package_stays_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    blocks = made()
    assert address(blocks, "textbox") == gr.Textbox.get_component_class_id()
    assert len(component_routes(blocks)) == 2
    monkeypatch.setattr(component_files, "version", unknown)
    assert address(blocks, "modelscopeprochatbot") == ModelScopeProChatbot.get_component_class_id()
    assert component_routes(blocks) == []
