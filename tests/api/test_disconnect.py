"""A client that hangs up ends its answer, whether it streams or waits."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.backends.echo import EchoBackend
from tests.api.conftest import Server, asked, data_url, image_part, picture


def cancelled(server: Server) -> bool:
    ended = server.count("minicpmv_answers_total", source="api", end="cancelled") == 1
    return ended and server.count("minicpmv_answers_running", source="api") == 0


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_ends_the_answer(serve: Any, stream: bool) -> None:
    server = serve(EchoBackend(delay=0.01))
    body = json.dumps(asked("/long story", image_part(data_url(picture())), stream=stream)).encode()
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        server.wait_for(lambda: server.count("minicpmv_answers_running", source="api") == 1)
        if stream:
            connection.recv(100)
    # The answer takes 30 s if nobody ends it.
    server.wait_for(lambda: cancelled(server), seconds=15)
    server.wait_for(lambda: not server.store._users)  # its picture is held no longer


def test_closing_the_client_s_stream_ends_the_answer(serve: Any) -> None:
    server = serve(EchoBackend(delay=0.01))
    with server.client().chat.completions.create(**asked("/long story", stream=True)) as events:
        next(iter(events))
    server.wait_for(lambda: cancelled(server), seconds=15)


def test_one_that_hangs_up_harms_no_other(serve: Any) -> None:
    server = serve(EchoBackend(delay=0.01))
    events = server.client().chat.completions.create(**asked("/long story", stream=True))
    next(iter(events))
    other = server.client().chat.completions.create(**asked("hello", stream=True))
    first = next(iter(other))
    events.close()
    text = "".join(event.choices[0].delta.content or "" for event in [first, *other])
    assert text.startswith('Message 1: text "hello"')
    server.wait_for(lambda: cancelled(server), seconds=15)
