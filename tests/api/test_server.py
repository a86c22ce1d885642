"""The endpoints beside the page, and without it, as the command line starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import openai
import pytest
from gradio_client import Client

from benchmarks.ports import free_port
from tests.api.conftest import ROOT, asked


@contextmanager
def started(*flags: str, **environment: str) -> Iterator[str]:
    """The URL of a server started by the command."""
    port = free_port()
    command = [sys.executable, "web_demo_2.6.py", "--backend", "echo", "--port", str(port), *flags]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def both() -> Iterator[str]:
    with started("--api", "--auth", "user:pass", "--api-key-env", "MY_KEY", MY_KEY="sekret") as url:
        yield url


def ask(url: str, key: str = "sekret") -> str:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    events = client.chat.completions.create(**asked("hello"), stream=True)
    return "".join(event.choices[0].delta.content or "" for event in events)


@pytest.mark.slow
def test_the_page_and_the_api_answer_in_one_process(both: str) -> None:
    page = Client(both, auth=("user", "pass"), verbose=False)
    said = page.predict(message="hello", files=[], history=[], params={}, api_name="/chat")
    assert said == ask(both)
    metrics = httpx.get(f"{both}/metrics", headers={"Authorization": "Bearer sekret"}).text
    assert 'minicpmv_answers_total{end="stop",source="page"} 1.0' in metrics
    assert 'minicpmv_answers_total{end="stop",source="api"} 1.0' in metrics


@pytest.mark.slow
def test_each_keeps_its_own_lock(both: str) -> None:
    assert httpx.get(f"{both}/config").status_code == 401
    assert httpx.get(f"{both}/config", headers={"Authorization": "Bearer sekret"}).status_code == 401
    with pytest.raises(openai.AuthenticationError):
        ask(both, "pass")
    login = httpx.Client(base_url=both)
    assert login.post("/login", data={"username": "user", "password": "pass"}).status_code == 200
    assert login.get("/config").status_code == 200 and login.get("/v1/models").status_code == 401


@pytest.mark.slow
def test_the_page_is_what_it_was(both: str) -> None:
    login = httpx.Client(base_url=both)
    login.post("/login", data={"username": "user", "password": "pass"})
    config = login.get("/config").json()
    static = ROOT / "app" / "ui" / "static"
    assert (static / "page.js").read_text("utf-8") in config["head"]
    assert (static / "page.css").read_text("utf-8") in config["css"]
    assert config["enable_queue"] is not False and config["max_file_size"] == 500 * 1024**2
    assert login.get("/").status_code == 200
    assert login.get("/gradio_api/info").status_code == 200
    # Unknown paths below /v1 are the API's, all others the page's.
    assert login.get("/v1/nothing").json()["error"]["message"]
    assert "error" not in login.get("/nothing").json()


@pytest.mark.slow
def test_ctrl_c_ends_the_answers_and_is_no_error() -> None:
    port = free_port()
    command = [sys.executable, "web_demo_2.6.py", "--backend", "echo", "--api-only", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(f"http://127.0.0.1:{port}", server)
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
        events = iter(client.chat.completions.create(**asked("/long story"), stream=True))
        next(events)
        server.send_signal(signal.SIGINT)
        with pytest.raises(openai.APIError, match="The server is ending"):
            list(events)
        _, err = server.communicate(timeout=60)
    finally:
        server.kill()
    assert server.returncode == 0 and err == "Stopped.\n"


def wait_for(url: str, server: subprocess.Popen[str]) -> None:
    """Wait until the server answers; fails at once if it ends."""
    while server.poll() is None:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the server ended")


@pytest.mark.slow
def test_without_a_page_neither_it_nor_its_library_is_there() -> None:
    with started("--api-only") as url:
        assert "hello" in ask(url, "none")
        assert httpx.get(f"{url}/").status_code == 404
        assert httpx.get(f"{url}/config").json()["error"]["type"] == "invalid_request_error"


def test_the_api_imports_neither_the_page_s_library_nor_a_model_s() -> None:
    heavy = {"gradio", "torch", "transformers", "numpy", "av"}
    code = f"import sys, app.api.server; print('heavy:', *{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "heavy:"
