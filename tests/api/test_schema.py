"""The schema at /openapi.json: what it allows and forbids is asked by a generator, which finds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.router import VERSION
from tests.api.conftest import ROOT, Server

EXAMPLES = "20"  # of each endpoint, in each phase
# No schema tells which text is a picture, so not all that it allows can be answered.
LEFT_OUT = "positive_data_acceptance"


@pytest.fixture
def locked(serve: Any, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("MY_KEY", "sekret")
    return serve(api_key_env="MY_KEY")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_generator_of_requests_finds_nothing(locked: Server, tmp_path: Path) -> None:
    command = [
        sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()",
        "run", f"{locked.url}/openapi.json",
        "--header", "Authorization: Bearer sekret",
        "--max-examples", EXAMPLES, "--seed", "1", "--exclude-checks", LEFT_OUT,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Tested: 6" in done.stdout, done.stdout[-2000:]
    # Some of what was generated was answered, not all refused.
    assert locked.count("minicpmv_answers_total", source="api", end="stop") >= 20
    assert locked.count("minicpmv_http_replies_total", path="/v1/chat/completions", status="500") == 0


def test_the_schema_has_the_request_and_its_errors(echo: Server) -> None:
    schema = httpx.get(f"{echo.url}/openapi.json").json()
    operation = schema["paths"]["/v1/chat/completions"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ChatRequest")
    assert {"200", "400", "404", "413", "415", "429", "500", "503"} <= set(operation["responses"])
    assert "text/event-stream" in operation["responses"]["200"]["content"]
    assert schema["components"]["schemas"]["ChatRequest"]["additionalProperties"] is False


def test_the_version_is_the_project_s(echo: Server) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert httpx.get(f"{echo.url}/version").json() == {"version": VERSION} == {"version": project["version"]}
