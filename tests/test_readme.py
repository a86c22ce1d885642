"""Every command of the README works as it is written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from app.cli import parse_settings
from app.replicas.flags import parse_plan
from benchmarks.ports import free_port

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")


def commands() -> list[str]:
    """Command lines in bash blocks and in `backticks` that start like one."""
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for block in blocks for line in block.strip().splitlines()]
    inline = re.findall(r"`((?:\w+=\S+ )?(?:python|make|source|\.venv/bin/)[ \w/].*?)`", TEXT)
    return lines + inline


def words(command: str) -> list[str]:
    """The command's words behind variables such as NAME=1."""
    parts = shlex.split(command)
    while re.fullmatch(r"\w+=\S*", parts[0]):
        parts.pop(0)
    return parts


def test_the_readme_has_its_commands() -> None:
    first = [words(command)[0] for command in commands()]
    assert first.count("python") >= 10
    assert "make demo" in commands() and "make test" in commands()
    assert sum("app.replicas" in command for command in commands()) == 1


@pytest.mark.parametrize("command", [c for c in commands() if re.search(r"web_demo\S*\.py", c)])
def test_flags_of_the_page(command: str) -> None:
    _, script, *flags = words(command)
    assert (ROOT / script).is_file()
    if flags == ["--help"]:
        output = subprocess.run([sys.executable, script, *flags], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "--model" in output.stdout
        return
    settings = parse_settings("openbmb/MiniCPM-V-2_6", 8885, flags)
    if settings.model.startswith("assets"):
        assert (ROOT / settings.model / "config.json").is_file()


@pytest.mark.parametrize("command", [c for c in commands() if "app.replicas" in c])
def test_flags_of_the_replicas(command: str) -> None:
    plan = parse_plan(words(command)[3:])
    pages = [parse_settings("m", 8885, words(c)[2:]) for c in commands() if "--engine minicpm" in c]
    # The page of the next line asks where these listen.
    assert f"http://{plan.settings.host}:{plan.settings.port}" in pages[0].base_urls


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make")])
def test_targets_of_make(command: str) -> None:
    subprocess.run(["make", "--dry-run", *words(command)[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("command", [c for c in commands() if " -m " in c and "venv" not in c])
def test_modules(command: str) -> None:
    module = words(command)[words(command).index("-m") + 1]
    assert find_spec(module), module


def test_files_and_folders_of_the_map_exist() -> None:
    block = re.search(r"## The code.*?```\n(.*?)```", TEXT, re.DOTALL)
    assert block is not None
    names = re.findall(r"(?:^|\s)((?:app/|web_demo|benchmarks/|scripts/|tests/)[\w./]*)", block[1])
    assert len(names) > 10
    for name in names:
        assert (ROOT / name).exists(), name


def test_pictures_exist() -> None:
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT):
        assert (ROOT / path).is_file(), path


def python_block(containing: str) -> str:
    return next(block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if containing in block)


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("photo")
def test_the_model_from_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    block = python_block("AutoModel")
    block = block.replace("openbmb/MiniCPM-V-2_6", str(ROOT / "assets" / "tiny-minicpm-v")).replace('"cuda"', '"cpu"')
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.usefixtures("photo")
def test_the_page_from_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    command = [sys.executable, "web_demo_2.6.py", "--backend", "echo", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}", server)
        exec(compile(python_block("gradio_client").replace("8885", str(port)), "README.md", "exec"), {})
    finally:
        server.terminate()
        server.wait(20)
    assert 'text "What is in the picture?"' in capsys.readouterr().out


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server did not answer (exit code {server.poll()})")
