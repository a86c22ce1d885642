from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from http.client import HTTPResponse
from pathlib import Path
from time import sleep
from types import ModuleType
from urllib.error import URLError
from urllib.request import urlopen

import httpx
import pytest
from fastapi import FastAPI
from gradio.http_server import start_server
from gradio_client import Client
from starlette.routing import BaseRoute, Route

from app.backends.echo import EchoBackend
from app.backends.table import BACKENDS, make_backend
from app.cli import check_port, main, parse_settings
from app.errors import SettingsError
from app.sampling import OPTIONS, SamplingParams
from app.settings import Settings
from benchmarks.ports import free_port
from tests.browser.conftest import serving

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "assets" / "examples" / "shapes.png"


def parse(*argv: str) -> Settings:
    return parse_settings("some/model", 8885, argv)


def python(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, cwd=ROOT, env=os.environ | environment, timeout=120
    )


@pytest.fixture(autouse=True)
def no_login_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINICPMV_AUTH", raising=False)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


# --- flags


def test_no_flags_are_the_defaults():
    assert parse() == Settings(model="some/model", port=8885)


def test_every_flag_arrives():
    settings = parse(
        *"--model m --device cuda:1 --dtype int4 --host 0.0.0.0 --port 99 --share --auth u:p --root-path /x".split(),
        *"--backend echo --max-file-size 2kb --multi-gpus --source modelscope --video-reader decord --compile".split(),
        *"--cache-size 1gb --vision-table 64mb".split(),
    )
    assert settings == Settings(
        model="m", device="cuda:1", dtype="int4", host="0.0.0.0", port=99, share=True, auth=("u", "p"), root_path="/x",
        backend="echo", max_file_size=2048, multi_gpus=True, source="modelscope", video_reader="decord", compile=True,
        cache_size=1024**3, vision_table=64 * 1024**2,
    )  # fmt: skip


def test_the_api_key_comes_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ENGINE_KEY", " sk-123\n")
    assert parse("--api", "--api-key-env", "ENGINE_KEY").read_api_key() == "sk-123"
    assert parse().read_api_key() is None
    monkeypatch.setenv("ENGINE_KEY", " ")
    with pytest.raises(SettingsError, match="--api-key-env: the variable of this name is not set"):
        parse("--api", "--api-key-env", "ENGINE_KEY").read_api_key()


def test_a_key_on_the_command_line_is_refused_and_not_repeated():
    with pytest.raises(SettingsError, match="--api-key-env: allowed is the name") as caught:
        parse("--api-key-env", "sk-123")
    assert "sk-123" not in str(caught.value)


def test_the_flags_of_the_api():
    settings = parse("--api", "--allow-url-hosts", "Example.org, *.b.org:8080")
    assert settings.api and not settings.api_only
    assert settings.allow_url_hosts == ("example.org", "*.b.org:8080")
    assert parse().allow_url_hosts == ()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--api --auth u:p", ["--auth", "--api-key-env"]),
        ("--api-only --auth u:p", ["--auth", "--api-only"]),
        ("--api-only --share", ["--share", "--api-only"]),
        ("--allow-url-hosts example.org", ["--allow-url-hosts", "--api"]),
        ("--api --allow-url-hosts http://example.org", ["--allow-url-hosts", "example.org"]),
        ("--api --api-key-env NOT_SET_ANYWHERE", ["--api-key-env", "not set"]),
    ],
)
def test_flags_of_the_api_that_would_mislead_are_refused(argv: str, words: list[str]):
    with pytest.raises(SettingsError) as caught:
        parse(*argv.split())
    assert all(word in str(caught.value) for word in words)


def test_without_a_page_a_key_is_what_keeps_others_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ENGINE_KEY", "secret")
    assert parse("--api-only", "--host", "0.0.0.0").open_to_others
    assert not parse("--api-only", "--host", "0.0.0.0", "--api-key-env", "ENGINE_KEY").open_to_others
    assert parse("--api", "--host", "0.0.0.0", "--api-key-env", "ENGINE_KEY").open_to_others


def test_adapters_are_given_one_by_one():
    assert parse().adapters == {}
    assert parse("--adapter", "out/menu", "--adapter", "b=c").adapters == {"menu": "out/menu", "b": "c"}
    # A folder's own name may have the mark.
    assert parse("--adapter", "runs/lr=1", "--adapter", "b=c").adapters == {"lr=1": "runs/lr=1", "b": "c"}
    assert parse().adapters == {}


def test_an_option_flag_becomes_the_default_of_both_decode_types():
    defaults = parse("--repetition-penalty", "1.5").option_defaults
    for do_sample in (True, False):
        assert SamplingParams.of({"do_sample": do_sample}, defaults).repetition_penalty == 1.5


def test_every_option_has_a_flag_with_its_help():
    text = re.sub(r"\s+", " ", python("web_demo_2.6.py", "--help", COLUMNS="100").stdout)
    for option in OPTIONS:
        assert f"--{option.name.replace('_', '-')}" in text and option.help in text


def test_a_switch_option_can_be_off():
    assert parse("--no-do-sample").option_defaults["do_sample"] is False
    assert "do_sample" not in parse().option_defaults


def test_the_login_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MINICPMV_AUTH", "env:secret")
    assert parse().auth == ("env", "secret")
    assert parse("--auth", "flag:x").auth == ("flag", "x")


# --- errors


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--nonsense"], ["--nonsense", "--help"]),
        (["--port", "x"], ["--port", "'x'"]),
        (["--mod", "m"], ["--mod"]),
        (["--device", "tpu"], ["--device", "tpu", "mps"]),
        (["--temperature", "9"], ["--temperature", "0.01 to 2.0"]),
        (["--max-new-tokens", "1.5"], ["--max-new-tokens", "1.5"]),
        (["--max-file-size", "big"], ["--max-file-size", "big"]),
        (["--adapter", "a=x", "--adapter", "a=y"], ["--adapter", "'a'", "NAME=DIR"]),
        (["--adapter", "base=x"], ["--adapter", "'base'"]),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(argv: list[str], words: list[str]):
    done = python("web_demo_2.6.py", *argv)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and all(word in done.stderr for word in words)


def test_a_taken_port_is_one_line_and_exit_code_1(taken_port: int):
    done = python("web_demo_2.6.py", "--backend", "echo", "--port", str(taken_port))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and str(taken_port) in done.stderr and "--port" in done.stderr


def test_a_space_sets_host_and_port(monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7860")
    assert (parse().host, parse().port) == ("0.0.0.0", 7860)
    assert parse("--host", "127.0.0.1", "--port", "99").port == 99
    monkeypatch.setenv("GRADIO_SERVER_PORT", "many")
    with pytest.raises(SettingsError, match="many"):
        parse()


def test_memory_by_device():
    settings = parse("--max-memory", "0=10GiB, 1=1.5gb,cpu=512MiB", "--cpu-offload")
    assert settings.max_memory == {0: 10 * 1024**3, 1: 3 * 512 * 1024**2, "cpu": 512 * 1024**2}
    assert settings.cpu_offload
    assert not parse().max_memory


@pytest.mark.parametrize("text", ["10GiB", "0:10GiB", "gpu0=1GiB", "0=10", "0=-1GiB"])
def test_memory_of_another_form_is_named(text):
    with pytest.raises(SettingsError, match=r"--max-memory: got .*0=10GiB,1=10GiB"):
        parse("--max-memory", text)


def test_a_host_that_is_not_ours_is_named():
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        check_port("192.0.2.1", 8885)


def test_an_unknown_host_is_named():
    with pytest.raises(SettingsError, match="--host: got 'no such host'"):
        check_port("no such host", 8885)


# --- light


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from app.cli import main\n"
        "try: main('m', 1, ['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'gradio', 'PIL', 'numpy', 'av', 'modelscope_studio', 'huggingface_hub'}\n"
        "print('heavy:', *heavy & set(sys.modules))"
    )
    assert python("-c", code).stdout.splitlines()[-1] == "heavy:"


@pytest.mark.parametrize(
    ("script", "model", "port"),
    [
        ("web_demo_2.6.py", "openbmb/MiniCPM-V-2_6", "8885"),
        ("web_demo_2.5.py", "openbmb/MiniCPM-Llama3-V-2_5", "8080"),
        ("web_demo.py", "openbmb/MiniCPM-V-2", "8080"),
    ],
)
def test_each_script_names_its_model_and_port(script: str, model: str, port: str):
    text = re.sub(r"\s+", " ", python(script, "--help", COLUMNS="100").stdout)
    assert f"(default: {model})" in text and f"(default: {port})" in text


# --- serving


class Demo(ModuleType):
    """Stands in for the page: records, and ends as a user with Ctrl+C would."""

    def __init__(self) -> None:
        super().__init__("app.ui.demo")
        self.calls: list[str] = []
        self.paths: list[str] = []

    def build_demo(self, backend: EchoBackend, settings: Settings) -> str:
        self.calls.append(f"build {backend.capabilities.model} {settings.port}")
        return "page"

    def launch(self, page: str, settings: Settings, routes: Sequence[BaseRoute] = ()) -> None:
        self.calls.append(f"launch {page} {settings.port}")
        self.paths = [route.path for route in routes if isinstance(route, Route)]
        raise KeyboardInterrupt


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Demo:
    module = Demo()
    monkeypatch.setitem(sys.modules, "app.ui.demo", module)
    monkeypatch.setattr(EchoBackend, "start", lambda self: module.calls.append("start"))
    monkeypatch.setattr(EchoBackend, "close", lambda self: module.calls.append("close"))
    return module


@pytest.fixture
def port() -> str:
    return str(free_port())


def test_ctrl_c_closes_the_backend_and_is_no_error(demo: Demo, port: str, capsys: pytest.CaptureFixture[str]):
    assert main("m", 1, ["--backend", "echo", "--port", port]) == 0
    assert demo.calls == ["start", f"build Echo {port}", f"launch page {port}", "close"]
    assert capsys.readouterr().err == "Stopped.\n"


@pytest.mark.parametrize("flags", [[], ["--api-only"]])
def test_a_port_taken_while_the_weights_load_is_said(
    demo: Demo, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str]
):
    """By whom the address was, when it was looked at, still free."""
    with socket.socket() as other:
        monkeypatch.setattr(EchoBackend, "start", lambda self: (other.bind(("127.0.0.1", int(port))), other.listen()))
        monkeypatch.setattr(demo, "launch", launch)
        assert main("m", 1, ["--backend", "echo", "--port", port, *flags]) == 1
    told = capsys.readouterr().err
    assert f"Port {port} on 127.0.0.1 cannot be used" in told and "--port" in told
    assert demo.calls[-1] == "close"


def launch(page: str, settings: Settings, routes: Sequence[BaseRoute] = ()) -> None:
    """As Gradio listens."""
    start_server(FastAPI(), server_name=settings.host, server_port=settings.port)


def test_another_error_while_it_serves_is_not_called_a_taken_port(
    demo: Demo, port: str, monkeypatch: pytest.MonkeyPatch
):
    def launch(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(demo, "launch", launch)
    with pytest.raises(OSError, match="the disk is full"):
        main("m", 1, ["--backend", "echo", "--port", port])


def test_the_api_is_served_beside_the_page_only_if_asked(demo: Demo, port: str):
    main("m", 1, ["--backend", "echo", "--port", port])
    assert demo.paths == []
    main("m", 1, ["--backend", "echo", "--port", port, "--api"])
    assert "/v1/{path:path}" in demo.paths and "/health" in demo.paths


@pytest.mark.parametrize(("login", "warned"), [([], True), (["--auth", "u:p"], False)])
def test_an_open_page_is_warned_about(demo: Demo, port: str, capsys, login: list[str], warned: bool):
    main("m", 1, ["--backend", "echo", "--host", "0.0.0.0", "--port", port, *login])
    assert ("Warning" in capsys.readouterr().err) is warned


# --- backends


def test_the_backend_is_made_from_the_settings():
    assert isinstance(make_backend(Settings(model="m", port=1, backend="echo")), EchoBackend)


def test_a_missing_package_names_the_install_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.backends.table.BACKENDS", dict(BACKENDS) | {"echo": "no_such_package:Backend"})
    with pytest.raises(SettingsError, match=r"'no_such_package'.*pip install -r requirements\.txt"):
        make_backend(Settings(model="m", port=1, backend="echo"))


def test_choosing_echo_imports_no_other_backend():
    code = (
        "import sys; from app.backends.table import make_backend; from app.settings import Settings\n"
        "make_backend(Settings(model='m', port=1, backend='echo')); print('app.backends.local' in sys.modules)"
    )
    assert python("-c", code).stdout.strip() == "False"


# --- the real page


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_page_is_served_and_ctrl_c_ends_it_cleanly(port: str, tmp_path: Path, end: signal.Signals):
    """SIGTERM, which services and containers get, does as Ctrl+C does. No upload stays behind."""
    command = [sys.executable, "web_demo_2.6.py", "--backend", "echo", "--port", port]
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environ)
    try:
        url = f"http://127.0.0.1:{port}"
        assert page_of(url, server).status == 200
        uploaded = Path(upload(url))
        assert uploaded.is_relative_to(tmp_path) and uploaded.read_bytes() == PICTURE.read_bytes()
        server.send_signal(end)
        _, err = server.communicate(timeout=60)
    finally:
        server.kill()
    assert server.returncode == 0 and "Traceback" not in err
    assert not uploaded.exists() and not list(tmp_path.glob("minicpm-v-uploads-*"))


@pytest.mark.slow
def test_a_server_that_ends_takes_no_upload_of_another_along(tmp_path: Path):
    command = ["web_demo_2.6.py", "--backend", "echo", "--port", "{port}"]
    with serving(command, tmp_path / "log") as url:
        with serving(command, tmp_path / "other_log") as other:
            upload(other)
            file = {"path": upload(url), "meta": {"_type": "gradio.FileData"}}
        answer = Client(url, verbose=False).predict("What?", [file], [], {}, api_name="/chat")
    assert "image 1 of 640x480 px" in answer


def upload(url: str) -> str:
    """Send a picture as the page does; gives where the server put it."""
    with PICTURE.open("rb") as picture:
        return httpx.post(f"{url}/gradio_api/upload", files={"files": picture}).json()[0]


def page_of(url: str, server: subprocess.Popen[str]) -> HTTPResponse:
    """The page, once the server answers; fails at once if the server ends."""
    while server.poll() is None:
        try:
            return urlopen(url, timeout=30)
        except URLError:
            sleep(0.1)
    raise AssertionError(server.communicate()[1])


def test_a_choice_option_takes_its_choices_alone():
    assert parse("--downsample-mode", "4x").option_defaults["downsample_mode"] == "4x"
    with pytest.raises(SettingsError, match="allowed is 16x or 4x"):
        parse("--downsample-mode", "8x")
