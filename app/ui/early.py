"""Scripts that run before Gradio's own: the head that Gradio takes from us comes into the page after them."""

from __future__ import annotations

from gradio.route_utils import API_PREFIX
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.ui.head import STATIC

PLACE = b"<head>"


class EarlyScripts:
    """Puts the scripts of static/early at the start of each page's head; files that are asked for stay as they are.

    Raw ASGI middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        scripts = [path.read_bytes() for path in sorted((STATIC / "early").glob("*.js"))]
        self._scripts = b"".join(b"<script>%s</script>" % script for script in scripts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, a page with the scripts in it."""
        if scope["type"] != "http" or scope["method"] == "HEAD" or scope["path"].startswith(API_PREFIX):
            await self._app(scope, receive, send)
            return
        held: Message | None = None  # the start of an HTML page, whose length is not known yet
        body = bytearray()

        async def sent(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_page(message):
                held = message
                return
            if held is None or message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            page = bytes(body).replace(PLACE, PLACE + self._scripts, 1)
            MutableHeaders(raw=held["headers"])["content-length"] = str(len(page))
            start, held = held, None
            await send(start)
            await send({"type": "http.response.body", "body": page})

        await self._app(scope, receive, sent)


def _is_page(start: Message) -> bool:
    """Whether an answer is an HTML page as it was written: what is compressed is passed on."""
    headers = MutableHeaders(raw=start["headers"])
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers
