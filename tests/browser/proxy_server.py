"""A page with a frame, and behind /demo another server as by a Space's proxy: python proxy_server.py PORT URL

The page at / shows http://127.0.0.1:PORT/demo/ in a frame. Opened by the name localhost, it is of another origin.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

ROOT_PATH = "/demo"
OF_A_CONNECTION = (b"host", b"connection", b"keep-alive", b"transfer-encoding", b"upgrade")  # not passed on
PAGE = '<!doctype html><title>Around</title><link rel="icon" href="data:,"><iframe src="{url}" allow="clipboard-write" \
style="border:0;width:100%;height:95vh"></iframe>'


def proxy(port: int, url: str) -> Starlette:
    """The application; what comes and goes is passed on piece by piece."""
    client = httpx.AsyncClient(timeout=None)

    async def forward(request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.raw if name not in OF_A_CONNECTION]
        headers += [(b"x-forwarded-host", request.headers["host"].encode()), (b"x-forwarded-proto", b"http")]
        path = request.scope["raw_path"].removeprefix(ROOT_PATH.encode()) + b"?" + request.scope["query_string"]
        content = request.stream() if request.method in ("POST", "PUT", "PATCH") else None
        asked = client.build_request(request.method, httpx.URL(url).copy_with(raw_path=path), content=content)
        asked.headers = httpx.Headers([(b"host", asked.headers["host"].encode()), *headers])
        reply = await client.send(asked, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for piece in reply.aiter_raw():
                    yield piece
            finally:
                await reply.aclose()

        passed = StreamingResponse(body(), reply.status_code)
        passed.raw_headers = [(k.lower(), v) for k, v in reply.headers.raw if k.lower() not in OF_A_CONNECTION]
        return passed

    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE.format(url=f"http://127.0.0.1:{port}{ROOT_PATH}/"))

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(routes=[Route("/", page), Route(ROOT_PATH + "/{path:path}", forward, methods=methods)])


if __name__ == "__main__":
    uvicorn.run(proxy(int(sys.argv[1]), sys.argv[2]), port=int(sys.argv[1]), log_level="warning")
