"""A Space's environment: port, root path, embedding, and a machine that is too small."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from huggingface_hub.cli.hf import app as hf
from huggingface_hub.utils import filter_repo_objects

from app.cli import parse_settings
from app.spaces import EMBEDDED, is_too_small, prepare
from benchmarks.ports import free_port

ROOT = Path(__file__).parents[1]
SPACE = {"SPACE_ID": "user/name", "SPACE_HOST": "user-name.hf.space", "SYSTEM": "spaces"}
MODEL = "openbmb/MiniCPM-V-2_6"
COLOURS = "red yellow green blue indigo purple pink gray"  # that the Hub takes


@pytest.mark.parametrize(
    ("environment", "has_gpu", "small"),
    [
        (SPACE | {"MEMORY": "16Gi"}, False, True),
        (SPACE | {"MEMORY": "16Gi"}, True, False),
        (SPACE | {"MEMORY": "64Gi"}, False, False),
        (SPACE, False, False),
        ({"MEMORY": "16Gi"}, False, False),
        (SPACE | {"MEMORY": "16Gi", "SPACES_ZERO_GPU": "true"}, False, False),
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


def test_a_space_that_lends_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not parse_settings(MODEL, 8885, []).lent_gpu
    for name, value in (SPACE | {"MEMORY": "16Gi", "SPACES_ZERO_GPU": "true"}).items():
        monkeypatch.setenv(name, value)
    settings = parse_settings(MODEL, 8885, [])
    assert settings.lent_gpu and settings.model == MODEL and not settings.stands_in
    # What a visitor has of GPU time is short: the longer an answer may be, the longer a GPU is asked for.
    assert settings.option_defaults["max_new_tokens"] == 512
    assert parse_settings(MODEL, 8885, ["--max-new-tokens", "900"]).option_defaults["max_new_tokens"] == 900
    assert not parse_settings(MODEL, 8885, ["--device", "cpu"]).lent_gpu
    assert not parse_settings(MODEL, 8885, ["--backend", "echo"]).lent_gpu


def test_storage_that_stays_keeps_the_weights_unless_said_otherwise(tmp_path: Path) -> None:
    environment = dict(SPACE)
    prepare(environment, tmp_path / "none")
    assert environment == SPACE
    prepare(environment, tmp_path)
    assert environment["HF_HOME"] == str(tmp_path / ".huggingface")
    chosen = SPACE | {"HF_HOME": "/elsewhere"}
    prepare(chosen, tmp_path)
    assert chosen["HF_HOME"] == "/elsewhere"
    elsewhere: dict[str, str] = {}
    prepare(elsewhere, tmp_path)
    assert not elsewhere


def test_the_spaces_package_comes_before_torch_and_only_where_gpus_are_lent(tmp_path: Path) -> None:
    # The package stands in for CUDA, which it cannot where torch was there first.
    (tmp_path / "spaces.py").write_text("import sys; print('torch first' if 'torch' in sys.modules else 'in time')")
    code = "from app import cli; cli.check_port = print; cli.main('no/such-model', 8885, [])"
    for lent, said in (("true", ["in time"]), ("", [])):
        environment = {"SPACES_ZERO_GPU": lent, "PYTHONPATH": str(tmp_path), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
        )
        assert done.returncode == 0 and "no/such-model" in done.stderr
        assert [line for line in done.stdout.splitlines() if "time" in line or "torch" in line] == said


def test_the_head_of_the_readme_is_a_space() -> None:
    head = yaml.safe_load((ROOT / "README.md").read_text("utf-8").split("---\n")[1])
    requirements = (ROOT / "requirements.txt").read_text("utf-8")
    assert head["sdk"] == "gradio" and f"gradio=={head['sdk_version']} " in requirements
    assert (ROOT / head["app_file"]).is_file()
    assert len(head["short_description"]) <= 60 and head["title"] and isinstance(head["python_version"], str)
    assert {head["colorFrom"], head["colorTo"]} <= set(COLOURS.split()) and re.fullmatch(r"\W+", head["emoji"])


class Hub:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: dict[str, dict[str, Any]] = {}

    def create_repo(self, **asked: Any) -> Any:
        self.asked["create_repo"] = asked
        return SimpleNamespace(repo_id=asked["repo_id"])

    def upload_folder(self, **asked: Any) -> str:
        self.asked["upload_folder"] = asked
        return "commit"


def test_the_command_of_the_guide_uploads_what_a_space_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = re.findall(r"^ *hf (upload .*)$", (ROOT / "docs" / "spaces.md").read_text("utf-8"), re.MULTILINE)
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.cli.upload.get_hf_api", lambda **_: hub)
    monkeypatch.chdir(ROOT)
    hf(shlex.split(line), standalone_mode=False)
    assert hub.asked["create_repo"] | {"repo_id": "USER/NAME", "repo_type": "space"} == hub.asked["create_repo"]
    asked = hub.asked["upload_folder"]
    assert (asked["repo_id"], asked["repo_type"], asked["path_in_repo"]) == ("USER/NAME", "space", ".")
    assert asked["folder_path"] == "." and asked["allow_patterns"] is None

    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    there = [*tracked.stdout.split("\n"), ".venv/bin/python", "out/model.safetensors"]
    sent = set(filter_repo_objects(filter(None, there), ignore_patterns=asked["ignore_patterns"]))
    assert {"README.md", "requirements.txt", "web_demo_2.6.py", "app/ui/static/page.js"} <= sent
    assert {name for name in tracked.stdout.split("\n") if name.startswith(("app/", "assets/", "docs/"))} <= sent
    assert not any(name.startswith((".venv", "tests/", "out/")) for name in sent)


def test_the_page_on_a_space() -> None:
    port = free_port()
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
