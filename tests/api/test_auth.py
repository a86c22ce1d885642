"""The key that the API asks for."""

from __future__ import annotations

import hmac
from typing import Any

import httpx
import openai
import pytest
from fastapi.security import HTTPAuthorizationCredentials

from app.api.auth import BearerKey
from app.api.errors import ApiError
from app.backends.base import LoadStatus
from app.backends.echo import EchoBackend
from tests.api.conftest import Server, asked

LOCKED = ("/v1/models", "/v1/models/Echo", "/metrics")


@pytest.fixture
def locked(serve: Any, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("MY_KEY", "sekret-ключ")
    return serve(api_key_env="MY_KEY")


def bearer(key: str) -> dict[str, Any]:
    return {"Authorization": f"Bearer {key}".strip().encode()}


def test_the_right_key_opens(serve: Any, locked: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in LOCKED:
        assert httpx.get(locked.url + path, headers=bearer("sekret-ключ")).status_code == 200
    monkeypatch.setenv("MY_KEY", "sekret")
    server = serve(api_key_env="MY_KEY")
    assert server.client("sekret").chat.completions.create(**asked("x")).choices


@pytest.mark.parametrize("key", ["wrong", "sekre", "sekretx", ""])
def test_another_key_or_none_does_not(serve: Any, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("MY_KEY", "sekret")
    server = serve(api_key_env="MY_KEY")
    with pytest.raises(openai.AuthenticationError) as caught:
        server.client(key or "none").chat.completions.create(**asked("x"))
    assert caught.value.code == "invalid_api_key" and "sekret" not in caught.value.message
    for path in LOCKED:
        for headers in ({}, bearer(key), {"Authorization": "Basic c2VrcmV0"}):
            reply = httpx.get(server.url + path, headers=headers)
            assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer"


def test_the_body_of_a_stranger_is_not_read(locked: Server) -> None:
    reply = httpx.post(f"{locked.url}/v1/chat/completions", content=b"{", headers={"content-type": "text/plain"})
    assert reply.status_code == 401


def test_whether_it_lives_is_told_to_everybody(locked: Server) -> None:
    for path in ("/health", "/version", "/openapi.json"):
        assert httpx.get(locked.url + path).status_code == 200


def test_names_addresses_and_folders_are_told_to_those_with_the_key_alone(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = EchoBackend(adapters=["secret-customer"])
    monkeypatch.setattr(backend, "status", lambda: LoadStatus("failed", "http://10.1.2.3:8000 does not answer"))
    monkeypatch.setenv("MY_KEY", "sekret")
    for variable, told in (("", True), ("MY_KEY", False)):
        server = serve(backend, api_key_env=variable)
        said = httpx.get(f"{server.url}/openapi.json").text + httpx.get(f"{server.url}/health").text
        assert ("secret-customer" in said) is told and ("10.1.2.3" in said) is told


def test_without_a_key_nothing_is_asked_for(echo: Server) -> None:
    assert httpx.get(f"{echo.url}/metrics").status_code == 200


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: Any, own: Any) -> bool:
        compared.append((given, own))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    with pytest.raises(ApiError):
        BearerKey("own")(HTTPAuthorizationCredentials(scheme="Bearer", credentials="given"))
    assert compared == [(b"given", b"own")]
