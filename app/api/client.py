"""The client at the other end: its request's body, and whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from app.api.errors import ApiError
from app.api.room import Take

RECEIVING = 600.0  # seconds that the body of a request may take

Result = TypeVar("Result")


class ClientGone(Exception):
    """Nobody waits for the reply any more. No `AppError`: there is nobody to tell."""


async def read_body(request: Request, most: int, take: Take) -> bytes:
    """The JSON of a request.

    A web page of a stranger cannot send JSON to a server on this machine without asking its leave, but can send all
    else; so nothing else is read.

    Args:
        most: bytes.
        take: takes room for so many more bytes.

    Raises:
        ApiError: it is not called JSON, too large, or too slow.
        BackendBusyError: there is no room for it now.
        ClientGone: it did not come to its end.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError("The request is not JSON.", "Send Content-Type: application/json.", 415, "not_json")
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(RECEIVING):
            async for piece in request.stream():
                if len(body) + len(piece) > most:
                    raise _too_large(most)
                take(len(piece))
                body += piece
    except ClientDisconnect:
        raise ClientGone from None
    except TimeoutError:
        raise ApiError(
            f"The request has taken more than {RECEIVING:.0f} s to come.",
            "Send fewer or smaller images and videos.",
            408,
            "request_timeout",
        ) from None
    return bytes(body)


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of some work, which is cancelled as soon as the client hangs up.

    Raises:
        ClientGone: it did.
    """
    gone = asyncio.create_task(_until_gone(receive))
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({gone, task}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(gone, task, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_large(most: int) -> ApiError:
    return ApiError(
        f"The request has more than the {most / 1024**2:.1f} MB allowed.",
        "Send fewer or smaller images and videos.",
        413,
        "request_too_large",
    )
