"""One copy of the model: the backend and the endpoint of the ordinary server, without its socket."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator

from ray import serve

from app.api.metered import MeteredBackend
from app.api.metrics import Metrics
from app.api.router import make_api
from app.api.server import make_store
from app.backends.base import Backend
from app.backends.table import make_backend
from app.errors import ModelError
from app.replicas.numbers import Numbers
from app.replicas.scratch import Scratch
from app.replicas.tunnel import Asked, Head, reply_of
from app.replicas.watch import WatchedBackend
from app.settings import Settings
from app.texts import Phrase

log = logging.getLogger(__name__)

TICK = 0.1  # seconds


class ModelReplica:
    """Holds the model, answers requests, and says how it is.

    Args:
        settings: of the model; the key that they name is in this process' environment.

    Raises:
        AppError: the model cannot be loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self.name = serve.get_replica_context().replica_tag
        self._backend = WatchedBackend(make_backend(settings))
        self._metrics = Metrics()
        self._scratch = Scratch()
        self._store = make_store(settings, self._scratch.path)
        metered = MeteredBackend(self._backend, self._metrics, "api")
        self._api = make_api(metered, settings, self._metrics, self._store)
        self._backend.start()
        wait_until_ready(self._backend)

    async def answer(self, asked: Asked) -> AsyncGenerator[str | Head | bytes, None]:
        """A reply piece by piece, behind the name of this replica; ends with its reader."""
        yield self.name
        async for piece in reply_of(self._api, asked):
            yield piece

    async def numbers(self) -> Numbers:
        """What has happened here."""
        return Numbers(self.name, os.getpid(), self._metrics.text())

    async def state(self) -> str:
        """ "ready", or what is the matter."""
        status = self._backend.status()
        return status.state if status.state == "ready" else f"{status.state}: {status.detail}"

    def check_health(self) -> None:
        """Raise a `ModelError` if this replica is to be replaced; Ray asks."""
        self._backend.check()

    def __del__(self) -> None:
        """Ray calls this once all answers have ended."""
        self._backend.close()
        self._store.__exit__()
        self._scratch.close()


def wait_until_ready(backend: Backend) -> None:
    """Return once the backend answers: until then no request is sent here.

    Raises:
        AppError: it never will.
    """
    while (status := backend.status()).state == "loading":
        time.sleep(TICK)
    if status.state != "ready":
        raise ModelError(status.detail or Phrase("model_not_loadable"))
