from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.ui.early import EarlyScripts
from app.ui.head import STATIC

PAGE = "<html><head><title>héllo</title></head><body><head></body></html>"


def answer(request: Request) -> Response:
    pieces = iter([PAGE[:8].encode(), PAGE[8:].encode()])
    return {
        "page": HTMLResponse(PAGE),
        "pieces": StreamingResponse(pieces, media_type="text/html"),
        "data": JSONResponse({"text": "<head>"}),
        "packed": HTMLResponse(PAGE, headers={"Content-Encoding": "br"}),
        "bare": HTMLResponse("no head"),
    }[request.path_params["name"]]


@pytest.fixture
def client() -> TestClient:
    paths = ("/{name}", "/gradio_api/file={name}")
    return TestClient(EarlyScripts(Starlette(routes=[Route(path, answer) for path in paths])))


@pytest.mark.parametrize("name", ["page", "pieces"])
def test_a_page_starts_with_the_scripts(client: TestClient, name: str) -> None:
    got = client.get(f"/{name}")
    scripts = "".join(f"<script>{path.read_text('utf-8')}</script>" for path in sorted(STATIC.glob("early/*.js")))
    assert "requestAnimationFrame" in scripts
    assert got.text == PAGE.replace("<head>", "<head>" + scripts, 1)
    assert int(got.headers["content-length"]) == len(got.content)


def test_a_page_without_a_head_and_the_length_of_one_without_a_body_stay(client: TestClient) -> None:
    assert client.get("/bare").text == "no head"
    assert client.head("/page").content == b""


@pytest.mark.parametrize(("name", "text"), [("data", '{"text":"<head>"}'), ("nothing/here", "Not Found")])
def test_all_else_is_passed_on(client: TestClient, name: str, text: str) -> None:
    assert client.get(f"/{name}").text == text


def test_a_file_of_the_users_is_as_it_was_written(client: TestClient) -> None:
    assert client.get("/gradio_api/file=page").text == PAGE


def test_what_is_compressed_is_passed_on(client: TestClient) -> None:
    with client.stream("GET", "/packed") as got:
        assert b"".join(got.iter_raw()) == PAGE.encode()
