"""Errors as the OpenAI protocol has them: a status, and one object that says what is wrong.

bad input                      400
no or a wrong key              401
no such model or path          404
too slow to come               408
too large                      413
not JSON                       415
the queue or the intake full   429, with Retry-After
the model failed               500
not loaded, out of memory, or
the engine behind is down      503, with Retry-After where waiting helps
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from pydantic import ValidationError

from app.api.replies import ErrorBody, ErrorKind, ErrorReply
from app.errors import (
    AppError,
    BackendBusyError,
    EngineDownError,
    GenerationError,
    MediaError,
    ModelError,
    OptionError,
    OutOfMemoryError,
    RequestError,
    TooLongError,
)

log = logging.getLogger(__name__)

RETRY_AFTER = 5  # seconds, where nothing better is known


class ApiError(RequestError):
    """A request that is refused with a status of its own.

    Args:
        status: of HTTP.
        code: for programs.
        param: the field that is wrong, None if it is none alone.
        headers: of the reply.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on its way out."""

    status: int
    reply: ErrorReply
    headers: Mapping[str, str] = field(default_factory=dict)


def failure_of(error: AppError) -> Failure:
    """What an error of this application is in the protocol."""
    if isinstance(error, ApiError):
        return _failure(error.status, error, error.code, error.param, error.headers)
    if isinstance(error, BackendBusyError):
        seconds = RETRY_AFTER if error.retry_after is None else max(1, math.ceil(error.retry_after))
        return _failure(429, error, "queue_full", headers={"Retry-After": str(seconds)})
    if isinstance(error, EngineDownError):
        return _failure(503, error, "engine_down", headers={"Retry-After": str(RETRY_AFTER)})
    if isinstance(error, TooLongError):
        return _failure(400, error, "context_length_exceeded", "messages")
    if isinstance(error, (RequestError, OptionError, MediaError)):
        return _failure(400, error, "invalid_media" if isinstance(error, MediaError) else None)
    if isinstance(error, OutOfMemoryError):
        return _failure(503, error, "out_of_memory")
    if isinstance(error, ModelError):
        return _failure(503, error, "model_not_loaded")
    return _failure(500, error, "answer_failed" if isinstance(error, GenerationError) else None)


def invalid(error: ValidationError) -> ApiError:
    """What is wrong with a request, as its schema tells; no value is repeated."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    more = error.error_count() - 1
    behind = f" ({more} more)" if more else ""
    where = f"{place}: " if place else ""
    return ApiError(f"{where}{first['msg']}{behind}.", "See /openapi.json.", code=first["type"], param=place or None)


def too_large(most: int) -> ApiError:
    """A file has more bytes than allowed."""
    return ApiError(
        f"The file has more than the {most / 1024**2:.1f} MB allowed.", "Send a smaller one.", 413, "file_too_large"
    )


def unexpected(cause: Exception) -> GenerationError:
    """An error without the cause's own words, which may quote the prompt; the log gets its place alone."""
    name = type(cause).__name__
    log.error("Unexpected %s while answering\n%s", name, "".join(traceback.format_tb(cause.__traceback__)))
    return GenerationError(f"The answer ended with an unexpected error ({name}).", "Try again.")


def plain_failure(status: int, message: str, headers: Mapping[str, str] | None = None) -> Failure:
    """An error that HTTP itself raises."""
    return _failure(status, RequestError(message or HTTPStatus(status).phrase), headers=headers)


def _failure(
    status: int,
    error: AppError,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Failure:
    kind: ErrorKind = (
        "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    )
    reply = ErrorReply(error=ErrorBody(message=str(error), type=kind, param=param, code=code))
    return Failure(status, reply, headers or {})
