"""What README.md and docs/api.md say works as it is written."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from app.api.metrics import Metrics
from app.api.schema import ChatRequest
from app.cli import parse_settings
from tests.api.conftest import ROOT, Server

README = (ROOT / "README.md").read_text("utf-8")
DOCS = (ROOT / "docs" / "api.md").read_text("utf-8")


def test_the_readme_s_request_is_answered_as_it_says(echo: Server) -> None:
    (line,) = re.findall(r"^curl .*/v1/.*$", README, re.MULTILINE)
    _, url, flag, body = shlex.split(line)
    assert flag == "--json"
    reply = httpx.post(url.replace("http://127.0.0.1:8885", echo.url), json=json.loads(body)).json()
    content = json.dumps(reply["choices"][0]["message"]["content"])
    assert f'"content":{content}' in README


def test_the_client_of_the_docs(
    echo: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    block = next(block for block in re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL) if "OpenAI(" in block)
    exec(compile(block.replace("http://127.0.0.1:8885", echo.url), "api.md", "exec"), {})
    out = capsys.readouterr().out
    assert 'image 1 of 8x6 px, text "What is in the picture?"' in out and "max_slice_nums=4" in out


@pytest.mark.parametrize("line", re.findall(r"^python web_demo_2.6.py (.*)$", DOCS, re.MULTILINE))
def test_the_commands_of_the_docs(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_KEY", "sekret")
    settings = parse_settings("m", 1, shlex.split(line))
    assert settings.api or settings.api_only


def test_every_field_is_told() -> None:
    asked = DOCS.partition("## What may be asked")[2].partition("**Pictures and videos**")[0]
    words = set(re.findall(r"\w+", asked))
    # As one word for all of its kind.
    kinds = {"audio": "audio", "prediction": "Any", "web_search_options": "Any", "functions": "functions"}
    kinds |= {"tool_choice": "tools", "function_call": "functions", "top_logprobs": "logprobs"}
    kinds |= {"modalities": "audio", "prompt_cache_retention": "prompt_cache_key"}
    missing = [name for name in ChatRequest.model_fields if kinds.get(name, name) not in words]
    assert not missing


def test_every_number_is_told() -> None:
    told: Any = [name.removeprefix("minicpmv_") for name in _names(Metrics())]
    missing = [name for name in told if name not in DOCS]
    assert told and not missing


def _names(metrics: Metrics) -> list[str]:
    return [family.name for family in metrics._registry.collect()]
