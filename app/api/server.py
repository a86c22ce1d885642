"""The endpoints served: beside the page, or alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

import uvicorn
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.metered import MeteredBackend
from app.api.metrics import Metrics
from app.api.router import make_api
from app.api.store import KEPT, MediaStore
from app.backends.base import Backend
from app.settings import Settings

PATHS = ("/v1/{path:path}", "/health", "/version", "/metrics", "/openapi.json")
GRACE = 5  # seconds that connections have when the server ends


@dataclass(frozen=True, slots=True)
class Beside:
    """What the page needs to share its server.

    Attributes:
        backend: for the page, its answers counted.
        routes: to be served before the page's own.
    """

    backend: Backend
    routes: tuple[BaseRoute, ...]


@contextmanager
def beside_page(backend: Backend, settings: Settings) -> Iterator[Beside]:
    """The endpoints as routes for the page's server; both ask the same backend."""
    metrics = Metrics()
    with make_store(settings) as store:
        served = _Served(make_api(MeteredBackend(backend, metrics, "api"), settings, metrics, store))
        # All methods: which one a path takes is the application's to say.
        routes = tuple(Route(path, served, include_in_schema=False) for path in PATHS)
        yield Beside(MeteredBackend(backend, metrics, "page"), routes)


def serve_alone(backend: Backend, settings: Settings) -> None:
    """Serve the endpoints without a page until interrupted."""
    metrics = Metrics()
    with make_store(settings) as store:
        api = make_api(MeteredBackend(backend, metrics, "api"), settings, metrics, store)
        host = settings.host.strip("[]")
        shown = f"[{host}]" if ":" in host else host
        print(f"* Running on local URL:  http://{shown}:{settings.port}/v1", flush=True)
        config = uvicorn.Config(
            api,
            host=host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=GRACE,
        )
        _Server(config, api.state.end_answers).run()


class _Server(uvicorn.Server):
    """One that does not wait for long answers when it is told to end.

    Args:
        end_answers: ends those that are being written.
    """

    def __init__(self, config: uvicorn.Config, end_answers: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_answers = end_answers

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """End the answers, which lets their connections end."""
        self._end_answers()
        await super().shutdown(sockets)


def make_store(settings: Settings, place: Path | None = None) -> MediaStore:
    """Room for the media of requests that run and some before, in a folder; None is where temporary files lie."""
    return MediaStore(max(KEPT, 2 * settings.max_file_size), place)


class _Served:
    """The application as the endpoint of a route: an object, which a route serves as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        await self._app(scope, receive, send)
