"""From what the client raises to errors for the user: the words of the engine, and what to do."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from app.errors import AppError, BackendBusyError, EngineDownError, GenerationError, RequestError, TooLongError
from app.texts import Phrase

log = logging.getLogger(__name__)

MOST_WORDS = 400  # characters of an engine's message; some repeat the whole request
AGAIN = Phrase("do_ask_again")
_CONTEXT = re.compile(
    r"exceed_context_size|context_length_exceeded|context (length|size|window)|maximum context|too many tokens"
    r"|longer than the (model|maximum)|input length.*exceeds|prompt is too long|available context",
    re.IGNORECASE,
)


# Codes of our own endpoint for what ended one answer: the server goes on answering others.
_REPLICA_LOST = "replica_lost"
_ONE_ANSWER = frozenset({"answer_failed", "out_of_memory", _REPLICA_LOST})

# What errors of connections say, and how it is told.
_REASONS = {
    "connection refused": "connection_refused",
    "name or service not known": "name_unknown",
    "certificate": "certificate",
    "disconnected": "connection_closed",
    "incomplete": "connection_closed",
    "connection attempts failed": "connection_refused",
}


class BrokenOff(Exception):
    """An answer ended before its end."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What one attempt came to.

    Attributes:
        error: for the user who asked.
        down: the server answers nobody, and is left out until it answers again: what everybody else is told of it,
            without the engine's words, which may quote what was asked. None if it goes on.
        elsewhere: another server may do better.
        again: so may the same one, behind which others stand.
        too_long: the conversation does not fit the context.
    """

    error: AppError
    down: AppError | None = None
    elsewhere: bool = False
    again: bool = False
    too_long: bool = False


def failure_of(cause: Exception, url: str) -> Failure:
    """What went wrong with the server at a URL; an `AppError` stays as it is."""
    if isinstance(cause, AppError):
        return Failure(cause)
    if isinstance(cause, openai.APIStatusError):
        return _refused(cause, url)
    if isinstance(cause, openai.APIConnectionError):
        error = EngineDownError(Phrase("engine_silent", url=url, reason=reason_of(cause)), Phrase("do_start_engine"))
        return Failure(error, down=error, elsewhere=True)
    if isinstance(cause, openai.APIError):
        return _broken_off(cause, url)
    if isinstance(cause, BrokenOff):
        return Failure(GenerationError(Phrase("engine_broke_off", url=url), AGAIN), elsewhere=True)
    # The cause's own text may quote what was asked.
    name = type(cause).__name__
    log.error("Unexpected %s of a server\n%s", name, "".join(traceback.format_tb(cause.__traceback__)))
    error = EngineDownError(Phrase("engine_unclear", url=url, name=name), AGAIN)
    return Failure(error, down=error, elsewhere=True)


def reason_of(cause: BaseException) -> str:
    """Why a connection failed, in a few words and without addresses."""
    if isinstance(cause, openai.APITimeoutError):
        return Phrase("too_slow")
    inner: BaseException | None = cause
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno:
            return (inner.strerror or type(inner).__name__).lower().split("[")[0][:80]
        text = str(inner).lower()
        for known, key in _REASONS.items():
            if known in text:
                return Phrase(key)
        inner = inner.__cause__ or inner.__context__
    return Phrase("no_connection")


def words_of(cause: openai.APIError) -> str:
    """The engine's own message, shortened."""
    body: Any = cause.body
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        body = body["error"]
    words = body
    if isinstance(body, Mapping):
        words = body.get("message") or body.get("detail") or body.get("error") or cause.message
    if isinstance(words, list):  # a schema's complaints; what was sent is not repeated
        words = "; ".join(str(item.get("msg", "")) for item in words if isinstance(item, Mapping))
    text = re.sub(r"\s+", " ", str(words or cause.message)).strip()
    text = re.sub(r"[A-Za-z0-9+/=]{200,}", "…", text)
    return text if len(text) <= MOST_WORDS else text[:MOST_WORDS] + " …"


def _refused(cause: openai.APIStatusError, url: str) -> Failure:
    """An answer with a status of 400 or more."""
    status, words = cause.status_code, words_of(cause)
    said = Phrase("engine_says", url=url, words=words)
    if status in (401, 403):
        return Failure(GenerationError(said, Phrase("do_name_key")))
    if status == 429:
        return Failure(BackendBusyError(said, Phrase("do_wait_little")), elsewhere=True)
    kind, code = _named(cause)
    if code in _ONE_ANSWER:
        return Failure(GenerationError(said, AGAIN), elsewhere=True, again=code == _REPLICA_LOST)
    told = Phrase("engine_status", url=url, status=status)
    if status >= 500 or status == 408:
        hint = Phrase("do_see_log")
        return Failure(EngineDownError(said, hint), down=EngineDownError(told, hint), elsewhere=True)
    if _CONTEXT.search(f"{words} {kind} {code}"):
        return _too_long(said)
    if status == 404 or re.search(r"model\b.*(not (found|exist)|does not exist)|is pinned to", words, re.IGNORECASE):
        # It may have been started anew with another model: counted as down, it is looked at again.
        hint = Phrase("do_name_model")
        return Failure(RequestError(said, hint), down=EngineDownError(told, hint), elsewhere=True)
    return Failure(RequestError(said, Phrase("do_change_message")))


def _broken_off(cause: openai.APIError, url: str) -> Failure:
    """An event in the middle of a stream that began well.

    It has no status, and some engines end every answer in the same way whatever happened. So it speaks of the server
    unless it names one of the protocol's own types for what is wrong with the request.
    """
    words = words_of(cause)
    kind, code = _named(cause)
    if _CONTEXT.search(f"{words} {kind} {code}"):
        return _too_long(words)
    if kind == "invalid_request_error":
        return Failure(RequestError(Phrase("engine_says", url=url, words=words), Phrase("do_change_message")))
    if kind == "rate_limit_error":
        busy = BackendBusyError(Phrase("engine_says", url=url, words=words), Phrase("do_wait_little"))
        return Failure(busy, elsewhere=True)
    broke_off = Phrase("engine_broke_off_words", url=url, words=words)
    if code in _ONE_ANSWER:
        return Failure(GenerationError(broke_off, AGAIN), elsewhere=True, again=code == _REPLICA_LOST)
    down = EngineDownError(Phrase("engine_broke_off", url=url), AGAIN)
    return Failure(EngineDownError(broke_off, AGAIN), down=down, elsewhere=True)


def _named(cause: openai.APIError) -> tuple[str, str]:
    """The type and the code of an error, for programs; empty where it has none."""
    body: Any = cause.body if isinstance(cause.body, Mapping) else {}
    return str(body.get("type") or ""), str(body.get("code") or "")


def _too_long(words: str) -> Failure:
    return Failure(TooLongError(words, Phrase("do_less_context")), too_long=True)
