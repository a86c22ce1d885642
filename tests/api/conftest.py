"""A real server on a free port, and clients of it."""

from __future__ import annotations

import base64
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from PIL import Image as Pictures
from starlette.types import ASGIApp

from app.api.metered import MeteredBackend
from app.api.metrics import Metrics
from app.api.router import make_api
from app.api.store import MediaStore
from app.backends.base import Backend
from app.backends.echo import EchoBackend
from app.settings import Settings

ROOT = Path(__file__).parents[2]
SETTINGS = Settings(model="m", backend="echo", api=True)


@dataclass(frozen=True)
class Server:
    """A running one."""

    url: str
    metrics: Metrics
    store: MediaStore

    def client(self, key: str = "none") -> openai.OpenAI:
        """The official client, which is to see every error at once."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)

    def count(self, name: str, **labels: str) -> float:
        """A number of /metrics, 0 if it is not there."""
        return self.metrics._registry.get_sample_value(name, labels) or 0.0

    def wait_for(self, wanted: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not wanted():
            assert time.monotonic() < deadline, "it never came to that"
            time.sleep(0.02)


Serve = Callable[..., Server]


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """The URL of a server that runs in a thread."""
    # The protocol by name: else small writes wait for each other, which a server of its own never lets them do.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@contextmanager
def served(backend: Backend, /, **changes: Any) -> Iterator[Server]:
    """A server of the API alone."""
    metrics, settings = Metrics(), replace(SETTINGS, **changes)
    with MediaStore() as store:
        api = make_api(MeteredBackend(backend, metrics, "api"), settings, metrics, store)
        with running(api) as url:
            yield Server(url, metrics, store)


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(backend: Backend | None = None, /, **changes: Any) -> Server:
            return stack.enter_context(served(backend or EchoBackend(delay=0), **changes))

        yield start


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    """One that many tests may share."""
    with served(EchoBackend(delay=0, adapters=("menu",))) as server:
        yield server


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def picture(width: int = 4, height: int = 3) -> bytes:
    file = io.BytesIO()
    Pictures.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def clip() -> bytes:
    return (ROOT / "assets" / "examples" / "ball.mp4").read_bytes()


def asked(*content: Any, **fields: Any) -> dict[str, Any]:
    """The arguments of a request with one question."""
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    only = content[0] if len(content) == 1 and isinstance(content[0], str) else parts
    return {"model": "Echo", "messages": [{"role": "user", "content": only}]} | fields


def image_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def video_part(url: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": url}}
