"""Bodies of many clients at once: bounded in number and in bytes, and only until they have been read."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.api.intake import Intake
from app.backends.echo import EchoBackend
from app.errors import BackendBusyError
from tests.api.conftest import asked


def status(url: str) -> int:
    return httpx.post(f"{url}/v1/chat/completions", json=asked("hi")).status_code


def test_bodies_share_the_room_of_two_of_the_largest() -> None:
    intake = Intake(most=10)
    with intake.place() as first, intake.place() as second, intake.place() as third:
        for take in (first, second):
            take(4)
            take(6)
        with pytest.raises(BackendBusyError):
            third(1)
    with intake.place() as again:
        again(20)


def test_who_sends_slowly_takes_a_place_of_few_until_gone(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.intake.MAX_BODIES", 1)
    server = serve()
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as slow:
        slow.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        server.wait_for(lambda: status(server.url) == 429)
        refusal = httpx.post(f"{server.url}/v1/chat/completions", json=asked("hi"))
        assert refusal.headers["retry-after"] and refusal.json()["error"]["code"] == "queue_full"
    server.wait_for(lambda: status(server.url) == 200)


def test_a_place_is_free_again_while_the_answer_is_written(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.intake.MAX_BODIES", 1)
    server = serve(EchoBackend(delay=0.05))
    with server.client().chat.completions.create(**asked("/long"), stream=True) as events:
        next(iter(events))
        assert status(server.url) == 200


def test_a_body_that_never_ends_is_given_up(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.client.RECEIVING", 0.1)
    address = urlsplit(serve().url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as slow:
        slow.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
