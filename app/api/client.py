"""The client at the other end: its request's body, and whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from app.api.errors import ApiError

Result = TypeVar("Result")


class ClientGone(Exception):
    """Nobody waits for the reply any more. No `AppError`: there is nobody to tell."""


async def read_body(request: Request, most: int) -> bytes:
    """The JSON of a request.

    A web page of a stranger cannot send JSON to a server on this machine without asking its leave, but can send all
    else; so nothing else is read.

    Args:
        most: bytes.

    Raises:
        ApiError: it is not called JSON, or too large.
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
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise _too_large(most)
    except ClientDisconnect:
        raise ClientGone from None
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
