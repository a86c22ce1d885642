"""Takes requests, finds the replica of each, and hands its reply on."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from anyio import to_thread
from fastapi import Depends, FastAPI, Request, Response

from app.api.auth import BearerKey
from app.api.client import read_body, unless_gone
from app.api.intake import Intake
from app.api.metrics import CONTENT_TYPE
from app.api.replies import Health
from app.api.room import Room
from app.api.router import HANDLERS
from app.api.service import most_bytes
from app.errors import BackendBusyError
from app.replicas.keys import conversation_key
from app.replicas.numbers import joined
from app.replicas.relay import Relay, Replicas
from app.replicas.tunnel import Asked
from app.settings import Settings
from app.texts import Phrase

OTHER_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
NO_CONVERSATION = ""


class Ingress:
    """What Ray's HTTP proxy calls.

    Args:
        replicas: a handle to the deployment of `app.replicas.replica.ModelReplica`.
    """

    def __init__(self, replicas: Any, settings: Settings) -> None:
        self._replicas = Replicas(replicas)
        self._settings = settings

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Ray asks for the application once this object is in its process."""
        return make_ingress(self._replicas, self._settings)


def make_ingress(replicas: Replicas, settings: Settings) -> FastAPI:
    """The application in front of the replicas.

    What it does itself is what concerns all of them, and what must be known before a replica is chosen: the key and the
    size of a request. All else is handed on, so that replies are those of one server.

    Raises:
        SettingsError: the key that `settings` names is not there.
    """
    key = settings.read_api_key()
    locks = [Depends(BearerKey(key))] if key else []
    intake, room = Intake(most_bytes(settings)), Room(most_bytes(settings), _full)
    ingress = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    @ingress.get("/health")
    async def health(response: Response) -> Health:
        states = await replicas.states()
        ready = states.count("ready")
        response.status_code = 200 if ready else 503
        words = [state for state in states if state != "ready"] or ([] if ready else ["no replica runs"])
        if key:  # addresses and folders, which errors name, are told to nobody without it
            words = []
        detail = "; ".join([f"{ready} of {len(states)} replicas ready", *words])
        return Health(status="ok" if ready else "loading", detail=detail)

    @ingress.get("/metrics", dependencies=locks)
    async def metrics() -> Response:
        return Response(joined(await replicas.numbers()), media_type=CONTENT_TYPE)

    @ingress.post("/v1/chat/completions", dependencies=locks)
    async def chat(request: Request) -> Response:
        with ExitStack() as held:
            take = held.enter_context(room.place())
            with intake.place():  # while it comes; how many wait for their answers is the replicas' to say
                body = await read_body(request, most_bytes(settings), take)
            # A thread: there may be megabytes of pictures to read.
            conversation = await to_thread.run_sync(conversation_key, body)
            reply = await _hand_on(replicas, conversation, request, body)
            if isinstance(reply, Relay):
                reply.hold(held.pop_all())
            return reply

    @ingress.api_route("/{path:path}", methods=OTHER_METHODS)
    async def other(request: Request) -> Response:
        return await _hand_on(replicas, NO_CONVERSATION, request, b"")

    for error, handler in HANDLERS.items():
        ingress.add_exception_handler(error, handler)
    return ingress


async def _hand_on(replicas: Replicas, conversation: str, request: Request, body: bytes) -> Response:
    asked = Asked(
        request.method,
        request.scope["path"],
        request.scope["query_string"],
        tuple((name, value) for name, value in request.headers.raw),
        body,
        request.client.host if request.client else "",
    )
    return await unless_gone(request.receive, replicas.reply(conversation, asked))


def _full() -> BackendBusyError:
    return BackendBusyError(Phrase("queue_full"), Phrase("do_again_later"))
