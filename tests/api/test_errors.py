"""What is refused, and how: the status, the shape, and never a 500 for bad input."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any

import httpx
import openai
import pytest

from app.api.follow import Follower
from app.backends.base import LoadStatus
from app.backends.echo import EchoBackend
from app.errors import (
    AppError,
    BackendBusyError,
    ContextLengthError,
    GenerationError,
    ImageError,
    ModelError,
    OutOfMemoryError,
)
from app.messages import Chunk, Message, Notice
from app.sampling import SamplingParams
from tests.api.conftest import Server, asked, clip, data_url, image_part, picture, video_part


class Failing(EchoBackend):
    """Fails, after some text or at once."""

    def __init__(self, error: Exception, text: str = "") -> None:
        super().__init__(delay=0)
        self.error, self.text = error, text

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        if self.text:
            yield Chunk(self.text)
        raise self.error


class Unready(EchoBackend):
    def __init__(self, state: Any) -> None:
        super().__init__()
        self.state = state

    def status(self) -> LoadStatus:
        return LoadStatus(self.state, "Reading the weights.")


def post(server: Server, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    headers = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.post(f"{server.url}/v1/chat/completions", content=content, headers=headers, timeout=60)


def error_of(reply: httpx.Response) -> dict[str, Any]:
    body = reply.json()
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
    return dict(body["error"])


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {}}, "response_format"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "function_call": {"name": "f"}},
                       {"role": "user", "content": "z"}]}, "tools"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"num_beams": 3, "temperature": 1}, "num_beams"),
        ({"num_beams": 3, "top_p": 0.1}, "top_p"),
        ({"num_beams": 3, "top_k": 5}, "top_k"),
        ({"num_beams": 3, "min_p": 0.5}, "min_p"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": 100}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 100000}, "max_tokens"),
        ({"min_p": 2}, "min_p"),
        ({"mm_processor_kwargs": {"max_slice_nums": 99}}, "mm_processor_kwargs.max_slice_nums"),
        ({"mm_processor_kwargs": {"slices": 1}}, "mm_processor_kwargs.slices"),
        ({"temprature": 1}, "temprature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"},
                       {"role": "user", "content": "z"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "y", "tool_call_id": "1"},
                       {"role": "user", "content": "z"}]}, "tools"),
        ({"messages": [{"role": "oracle", "content": "x"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, None),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_and_named(echo: Server, change: dict[str, Any], param: str | None) -> None:
    reply = post(echo, asked("x") | change)
    error = error_of(reply)
    assert reply.status_code == 400 and error["type"] == "invalid_request_error"
    assert error["message"] and (param is None or error["param"] == param)


def test_fields_that_ask_nothing_of_a_search_do_no_harm(echo: Server) -> None:
    for top_k in (0, -1):
        neutral = {"num_beams": 3, "temperature": 0, "top_p": 1, "top_k": top_k, "min_p": 0, "seed": 1}
        assert post(echo, asked("x") | neutral).status_code == 200


@pytest.mark.parametrize("body", ["", "{", "[]", "null", b"\xff\xfe", '{"messages": "x"}', "[" * 100000])
def test_what_is_no_request_is_refused(echo: Server, body: str | bytes) -> None:
    reply = post(echo, body)
    assert reply.status_code == 400 and error_of(reply)["message"]


def test_values_are_not_repeated(echo: Server) -> None:
    assert "s3cret" not in post(echo, asked("x", temperature="s3cret")).text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_strange_web_page_may_send_is_not_read(echo: Server, kind: str) -> None:
    reply = post(echo, asked("x"), content_type=kind)
    assert reply.status_code == 415 and error_of(reply)["code"] == "not_json"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (image_part("file:///etc/passwd"), "data URL"),
        (image_part("FILE:///etc/passwd"), "data URL"),
        (image_part("/etc/passwd"), "data URL"),
        (image_part("http://example.org/a.png"), "not read here"),
        (image_part("data:image/png,abc"), "base64"),
        (image_part("data:image/png;base64,@@"), "base64"),
        (image_part("data:image/png;base64,"), "empty"),
        (image_part(data_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>")), "SVG"),
        (image_part(data_url(b"hello there")), "text, not an image"),
        (image_part(data_url(clip(), "image/png")), "video_url"),
        (video_part(data_url(picture(), "video/mp4")), "image_url"),
        (image_part(data_url(picture()[:40])), "damaged"),
        (video_part(data_url(clip()[:200], "video/mp4")), "video"),
    ],
)
def test_media_that_cannot_be_used_are_bad_requests(echo: Server, part: dict[str, Any], words: str) -> None:
    reply = post(echo, asked("What?", part))
    assert reply.status_code == 400
    assert words in error_of(reply)["message"]


def test_which_of_several_media_is_wrong_is_told(echo: Server) -> None:
    good, bad = image_part(data_url(picture())), image_part(data_url(b"hello there"))
    assert error_of(post(echo, asked(good, "What?", bad)))["param"] == "messages.0.content.2"


def test_another_model_s_name_is_not_found(echo: Server) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        echo.client().chat.completions.create(**asked("x", model="gpt-4o"))
    assert caught.value.code == "model_not_found" and "Echo" in caught.value.message


def test_paths_and_methods_that_do_not_exist_have_the_same_shape(echo: Server) -> None:
    assert error_of(httpx.get(f"{echo.url}/v1/completions"))
    assert httpx.get(f"{echo.url}/v1/completions").status_code == 404
    assert httpx.get(f"{echo.url}/v1/chat/completions").status_code == 405
    assert error_of(httpx.get(f"{echo.url}/v1/chat/completions"))


def test_what_is_too_large_is_413(serve: Any) -> None:
    server = serve(max_file_size=1000)
    reply = post(server, asked(image_part(data_url(b"x" * 1200)), "What?"))
    assert reply.status_code == 413 and error_of(reply)["code"] == "file_too_large"
    reply = post(server, b"x" * 5_000_000)
    assert reply.status_code == 413 and error_of(reply)["code"] == "request_too_large"

    def pieces() -> Any:
        for _ in range(50):
            yield b"x" * 100_000

    # Its length is not told beforehand.
    reply = httpx.post(
        f"{server.url}/v1/chat/completions", content=pieces(), headers={"content-type": "application/json"}
    )
    assert reply.status_code == 413


def test_what_is_large_but_allowed_is_answered(echo: Server) -> None:
    # Bytes behind the picture's end belong to no format and are not looked at.
    reply = post(echo, asked(image_part(data_url(picture() + bytes(20 * 1024**2))), "What?"))
    assert "image 1 of 4x3 px" in reply.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(("told", "header"), [(None, "5"), (0.2, "1"), (7.4, "8")])
@pytest.mark.parametrize("stream", [False, True])
def test_a_full_queue_is_429_and_says_when_to_come_back(
    serve: Any, told: float | None, header: str, stream: bool
) -> None:
    server = serve(Failing(BackendBusyError("Many wait.", retry_after=told)))
    with pytest.raises(openai.RateLimitError) as caught:
        server.client().chat.completions.create(**asked("x", stream=stream))
    assert caught.value.response.headers["retry-after"] == header


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ContextLengthError(9000, 4000), 400, "context_length_exceeded"),
        (ImageError("The file is damaged."), 400, "invalid_media"),
        (OutOfMemoryError("Full."), 503, "out_of_memory"),
        (ModelError("It could not be loaded."), 503, "model_not_loaded"),
        (GenerationError("It failed."), 500, "answer_failed"),
        (ValueError("the prompt was: s3cret"), 500, "answer_failed"),
    ],
)
def test_failures_before_the_first_token_have_their_status(
    serve: Any, error: AppError, status: int, code: str | None, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    reply = post(serve(Failing(error)), asked("x", stream=stream))
    assert reply.status_code == status and error_of(reply)["code"] == code
    assert "s3cret" not in reply.text and "s3cret" not in caplog.text


def test_a_failure_in_the_middle_ends_the_stream_with_an_error(serve: Any) -> None:
    server = serve(Failing(GenerationError("It failed."), "beginning"))
    text = ""
    with pytest.raises(openai.APIError, match="It failed"):
        for event in server.client().chat.completions.create(**asked("x", stream=True)):
            text += event.choices[0].delta.content or ""
    assert text == "beginning"


def test_a_conversation_that_lost_turns_is_an_error_as_everywhere(serve: Any) -> None:
    class Dropping(EchoBackend):
        def stream(self, *args: Any, **kwargs: Any) -> Generator[Chunk, None, None]:
            yield Chunk(notices=(Notice("turns_dropped", 2),))
            yield from super().stream(*args, **kwargs)

    server = serve(Dropping(delay=0))
    for stream in (False, True):
        reply = post(server, asked("x", stream=stream))
        assert reply.status_code == 400 and error_of(reply)["code"] == "context_length_exceeded"


@pytest.mark.parametrize(("state", "waits"), [("loading", True), ("away", True), ("failed", False)])
def test_a_model_that_is_not_ready_is_503(serve: Any, state: str, waits: bool) -> None:
    server = serve(Unready(state))
    reply = post(server, asked("x"))
    assert reply.status_code == 503 and "Reading the weights" in error_of(reply)["message"]
    assert ("retry-after" in reply.headers) is waits
    health = httpx.get(f"{server.url}/health")
    assert health.status_code == 503 and health.json()["status"] == state


def test_more_answers_at_once_than_there_are_threads_are_refused(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.follow.MAX_STREAMS", 2)
    server = serve()
    assert post(server, asked("x", n=3)).status_code == 429
    assert post(server, asked("x", n=2)).status_code == 200
    assert Follower()._running == 0
