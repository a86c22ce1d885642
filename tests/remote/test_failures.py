from __future__ import annotations

from typing import Any

import openai
import pytest

from app.api.errors import ApiError
from app.api.errors import failure_of as api_failure_of
from app.errors import (
    AppError,
    BackendBusyError,
    ContextLengthError,
    EngineDownError,
    GenerationError,
    ImageError,
    ModelError,
    OutOfMemoryError,
    RequestError,
    TooLongError,
)
from app.remote.client import make_client
from app.remote.failures import MOST_WORDS, BrokenOff, Failure, failure_of, words_of

URL = "http://host:8000"


def status_error(status: int, body: Any) -> openai.APIStatusError:
    """As the client makes it of an answer."""
    import httpx2

    request = httpx2.Request("POST", f"{URL}/v1/chat/completions")
    response = httpx2.Response(status, json=body, request=request)
    return make_client(URL, "")._make_status_error_from_response(response)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "A wise word", "type": "x", "code": 400}},
        {"detail": "A wise word"},
        {"detail": [{"loc": ["body"], "msg": "A wise word", "input": "the user's own text"}]},
        {"object": "error", "message": "A wise word", "code": 400},
        {"error": "A wise word"},
    ],
)
def test_the_engines_words_in_all_their_forms(body: Any) -> None:
    failure = failure_of(status_error(400, body), URL)
    assert isinstance(failure.error, RequestError) and failure.error.message == f"The engine at {URL} says: A wise word"
    assert failure.error.hint and not failure.elsewhere and not failure.down


def test_long_words_and_data_are_cut() -> None:
    words = words_of(status_error(400, {"error": {"message": f"cannot read {'QUJD' * 1000} {'word ' * 500}"}}))
    assert len(words) <= MOST_WORDS + 2 and "QUJDQUJD" not in words and words.startswith("cannot read …")


@pytest.mark.parametrize(
    ("status", "kind", "down", "elsewhere", "hint"),
    [
        (401, GenerationError, False, False, "--api-key-env"),
        (403, GenerationError, False, False, "--api-key-env"),
        (404, RequestError, True, True, "--served-model"),
        (422, RequestError, False, False, "options"),
        (429, BackendBusyError, False, True, "Wait"),
        (500, EngineDownError, True, True, "log"),
        (503, EngineDownError, True, True, "log"),
    ],
)
def test_what_a_status_means(status: int, kind: type, down: bool, elsewhere: bool, hint: str) -> None:
    failure = failure_of(status_error(status, {"error": {"message": "words"}}), URL)
    assert type(failure.error) is kind and hint in failure.error.hint
    assert (failure.down is not None, failure.elsewhere) == (down, elsewhere)
    if failure.down:
        assert failure.down.message == f"The engine at {URL} answered with the status {status}."
        assert type(failure.down) is EngineDownError and failure.down.hint == failure.error.hint


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "The input (50 tokens) is longer than the model's context length (40 tokens).",
    ],
)
def test_too_long_a_prompt_is_known_by_its_words(message: str) -> None:
    failure = failure_of(status_error(400, {"error": {"message": message}}), URL)
    assert failure.too_long and message in failure.error.message and "Max New Tokens" in failure.error.hint
    assert type(failure.error) is TooLongError
    assert api_failure_of(failure.error).reply.error.code == "context_length_exceeded"


def test_an_answer_that_broke_off_and_one_that_is_not_understood(caplog: pytest.LogCaptureFixture) -> None:
    assert failure_of(BrokenOff(), URL).elsewhere and not failure_of(BrokenOff(), URL).down
    failure = failure_of(ValueError("the user's own text"), URL)
    assert failure.down and "own text" not in str(failure.error) + caplog.text
    assert "ValueError" in caplog.text


def event_error(body: Any) -> openai.APIError:
    """As the client makes it of an event in the middle of a stream."""
    import httpx2

    return openai.APIError("words", request=httpx2.Request("POST", f"{URL}/v1/chat/completions"), body=body)


ENDING = ApiError("The server is ending.", status=503, code="server_ending")
LOST = ApiError("The replica has ended.", status=503, code="replica_lost")


@pytest.mark.parametrize("in_stream", [False, True])
@pytest.mark.parametrize(
    ("error", "kind", "down", "elsewhere"),
    [
        (ImageError("The file is damaged."), RequestError, False, False),
        (OutOfMemoryError("Full."), GenerationError, False, True),
        (GenerationError("It failed."), GenerationError, False, True),
        (BackendBusyError("Many wait."), BackendBusyError, False, True),
        (LOST, GenerationError, False, True),
        (ENDING, EngineDownError, True, True),
        (ModelError("It could not be loaded."), EngineDownError, True, True),
        (EngineDownError("The one behind is silent."), EngineDownError, True, True),
    ],
)
def test_what_ends_one_answer_of_our_endpoint_leaves_the_server_in(
    error: AppError, kind: type, down: bool, elsewhere: bool, in_stream: bool
) -> None:
    told = api_failure_of(error)
    body = told.reply.model_dump()
    failure = failure_of(event_error(body["error"]) if in_stream else status_error(told.status, body), URL)
    assert type(failure.error) is kind and error.message in failure.error.message
    assert (failure.down is not None, failure.elsewhere, failure.too_long) == (down, elsewhere, False)
    assert failure.again is (error is LOST)


def test_too_long_a_prompt_is_known_in_a_stream_by_its_code() -> None:
    body = api_failure_of(ContextLengthError(9000, 4000)).reply.model_dump()["error"]
    assert failure_of(event_error(body | {"message": "No."}), URL).too_long


@pytest.mark.parametrize(
    "body",
    [
        {"message": "EngineCore died", "type": "BadRequestError", "code": 400},
        {"message": "EngineCore died", "type": "InternalServerError", "code": 500},
        "dead",
    ],
)
def test_an_engine_that_dies_in_a_stream_is_left_out(body: Any) -> None:
    failure = failure_of(event_error(body), URL)
    assert failure.down and failure.elsewhere and "Regenerate" in failure.error.hint
    assert failure.down.message == f"The answer of the engine at {URL} broke off."


@pytest.mark.parametrize(
    "failure",
    [
        failure_of(openai.APITimeoutError(request=status_error(500, {}).request), URL),
        failure_of(status_error(500, {"error": {"message": "words"}}), URL),
        failure_of(event_error({"message": "words"}), URL),
        failure_of(ValueError("words"), URL),
    ],
    ids=["silent", "status", "event", "unclear"],
)
def test_a_server_that_is_down_is_no_failed_answer_to_programs(failure: Failure) -> None:
    told = api_failure_of(failure.error)
    assert (told.status, told.reply.error.code) == (503, "engine_down") and told.headers["Retry-After"]
    assert failure.down is not None and "words" not in str(failure.down)
