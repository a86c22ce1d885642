"""A Space's environment: port, root path, embedding, and a machine that is too small."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

import pytest
import yaml

from app.cli import parse_settings
from app.spaces import EMBEDDED, is_too_small

ROOT = Path(__file__).parents[1]
SPACE = {"SPACE_ID": "user/name", "SPACE_HOST": "user-name.hf.space", "SYSTEM": "spaces"}
MODEL = "openbmb/MiniCPM-V-2_6"


@pytest.mark.parametrize(
    ("environment", "has_gpu", "small"),
    [
        (SPACE | {"MEMORY": "16Gi"}, False, True),
        (SPACE | {"MEMORY": "16Gi"}, True, False),
        (SPACE | {"MEMORY": "64Gi"}, False, False),
        (SPACE, False, False),
        ({"MEMORY": "16Gi"}, False, False),
    ],
)
def test_what_is_too_small(environment: dict[str, str], has_gpu: bool, small: bool) -> None:
    assert is_too_small(environment, has_gpu=has_gpu) is small


def test_a_small_space_takes_the_embedded_model_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SPACE | {"MEMORY": "16Gi"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("app.spaces.shutil.which", lambda name: None)
    settings = parse_settings(MODEL, 8885, [])
    assert settings.model == str(EMBEDDED) and settings.stands_in
    assert parse_settings(MODEL, 8885, ["--model", "other/model"]).model == "other/model"
    monkeypatch.setenv("MINICPMV_MODEL", MODEL)
    settings = parse_settings("another/default", 8885, [])
    assert settings.model == MODEL and not settings.stands_in


def test_the_head_of_the_readme_is_a_space() -> None:
    head = yaml.safe_load((ROOT / "README.md").read_text("utf-8").split("---\n")[1])
    requirements = (ROOT / "requirements.txt").read_text("utf-8")
    assert head["sdk"] == "gradio" and f"gradio=={head['sdk_version']} " in requirements
    assert (ROOT / head["app_file"]).is_file()
    assert len(head["short_description"]) <= 60


def test_the_page_on_a_space() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    space = SPACE | {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port), "GRADIO_ROOT_PATH": "/under"}
    command = [sys.executable, "web_demo_2.6.py", "--backend", "echo"]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | space, stdout=subprocess.DEVNULL)
    try:
        deadline = monotonic() + 120
        while not answers(port) and server.poll() is None and monotonic() < deadline:
            sleep(0.2)
        with urlopen(f"http://127.0.0.1:{port}/", timeout=20) as page:
            assert not page.headers.get("X-Frame-Options")
            assert "frame-ancestors" not in (page.headers.get("Content-Security-Policy") or "")
        with urlopen(f"http://127.0.0.1:{port}/config", timeout=20) as config:
            assert json.load(config)["root"].endswith("/under")
    finally:
        server.terminate()
        server.wait(30)


def answers(port: int) -> bool:
    try:
        urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except OSError:
        return False
    return True
