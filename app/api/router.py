"""The endpoints, as an application of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.api.auth import BearerKey
from app.api.catalogue import Catalogue
from app.api.client import ClientGone
from app.api.counting import CountReplies
from app.api.errors import Failure, failure_of, plain_failure
from app.api.metrics import CONTENT_TYPE, Metrics
from app.api.replies import Completion, CompletionChunk, ErrorReply, Health, ModelCard, ModelList, Version
from app.api.schema import ChatRequest
from app.api.service import ChatService
from app.api.store import MediaStore
from app.backends.base import Backend
from app.errors import AppError
from app.settings import Settings

VERSION = "0.1.0"
CLIENT_GONE = 499  # never sent: there is nobody to send it to
REFERENCE = "#/components/schemas/{model}"

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorReply, "description": "Something asked for is wrong or cannot be had."},
    404: {"model": ErrorReply, "description": "There is no such model."},
    408: {"model": ErrorReply, "description": "The request took too long to come."},
    413: {"model": ErrorReply, "description": "The request or a file in it is too large."},
    415: {"model": ErrorReply, "description": "The request is not JSON."},
    429: {"model": ErrorReply, "description": "The queue or the intake is full; Retry-After says when to come back."},
    500: {"model": ErrorReply, "description": "The model failed while it answered."},
    503: {
        "model": ErrorReply,
        "description": "The model is not loaded yet, the engine behind is down, or memory ran out.",
    },
}
LOCKED: dict[int | str, dict[str, Any]] = {401: {"model": ErrorReply, "description": "The key is missing or wrong."}}
# Of each event; the last one is not JSON.
EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {
            "anyOf": [
                {"const": "[DONE]"},
                {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": {
                        "anyOf": [{"$ref": REFERENCE.format(model=name)} for name in ("CompletionChunk", "ErrorReply")]
                    },
                },
            ]
        }
    },
}
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Completion,
        "description": "The answer; with stream, events of which each is a chat.completion.chunk.",
        "content": {"text/event-stream": {"schema": EVENT}},
    }
}

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC"
)
EXAMPLES: dict[str, Any] = {
    "text": {"value": {"messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 20}},
    "picture": {
        "value": {
            "messages": [
                {"role": "system", "content": "Answer in one word."},
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": PIXEL}},
                        {"type": "text", "text": "What colour is it?"},
                    ],
                },
            ],
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    },
}


def make_api(backend: Backend, settings: Settings, metrics: Metrics, store: MediaStore) -> FastAPI:
    """The application that serves the endpoints; its `state.end_answers()` ends those that are being written.

    Raises:
        SettingsError: the key that `settings` names is not there.
    """
    key = settings.read_api_key()
    api = FastAPI(
        title="MiniCPM-V Web Demo",
        version=VERSION,
        docs_url=None,  # its page would fetch its looks from another host
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
    )
    api.add_middleware(CountReplies, metrics=metrics)
    catalogue = Catalogue(backend, settings)
    api.include_router(_open_routes(backend, locked=key is not None))
    service = ChatService(backend, settings, catalogue, store)
    locks = [Depends(BearerKey(key))] if key else []
    api.include_router(_routes(service, catalogue, metrics), dependencies=locks, responses=LOCKED if key else {})
    api.state.end_answers = service.end
    for error, handler in HANDLERS.items():
        api.add_exception_handler(error, handler)
    api.openapi = lambda: _schema(api, () if key else catalogue.cards().data)  # type: ignore[method-assign]
    return api


def _open_routes(backend: Backend, *, locked: bool) -> APIRouter:
    """What is told without a key: nothing of it is worth one.

    Args:
        locked: all else asks for one; addresses and folders, which errors name, are not told then.
    """
    router = APIRouter()

    @router.get("/health", responses={503: {"model": Health, "description": "No answers can be had now."}})
    async def health(response: Response) -> Health:
        """Whether answers can be had."""
        status = backend.status()
        response.status_code = 200 if status.state == "ready" else 503
        return Health(status="ok" if status.state == "ready" else status.state, detail="" if locked else status.detail)

    @router.get("/version")
    async def version() -> Version:
        """Of this application."""
        return Version(version=VERSION)

    return router


def _routes(service: ChatService, catalogue: Catalogue, metrics: Metrics) -> APIRouter:
    router = APIRouter()
    schema = {"$ref": REFERENCE.format(model="ChatRequest")}
    body = {"required": True, "content": {"application/json": {"schema": schema, "examples": EXAMPLES}}}

    # The body is read by the service, which bounds it and takes it apart in a thread.
    @router.post("/v1/chat/completions", responses=ANSWER | ERRORS, openapi_extra={"requestBody": body})
    async def chat_completions(request: Request) -> Response:
        """Answer a conversation."""
        return await service.reply(request)

    @router.get("/v1/models")
    def list_models() -> ModelList:  # in a thread: what is known of another engine may have to be waited for
        """The model and its adapters."""
        return catalogue.cards()

    @router.get("/v1/models/{model:path}", responses={404: ERRORS[404]})
    def get_model(model: str) -> ModelCard:
        """One of them."""
        return catalogue.card(model)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"description": "For Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def show_metrics() -> Response:
        """Requests, queue, tokens and times."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router


def _schema(api: FastAPI, cards: Sequence[ModelCard]) -> dict[str, Any]:
    """The schema, with that of the request that FastAPI does not see, and the names of the models, if they are told."""
    if api.openapi_schema is None:
        schema = FastAPI.openapi(api)
        request = ChatRequest.model_json_schema(ref_template=REFERENCE)
        if cards:
            request["properties"]["model"] = {"enum": [*(card.id for card in cards), None]}
        chunk = CompletionChunk.model_json_schema(ref_template=REFERENCE)
        schema["components"]["schemas"] |= {**request.pop("$defs"), "ChatRequest": request}
        schema["components"]["schemas"] |= {**chunk.pop("$defs"), "CompletionChunk": chunk}
        api.openapi_schema = schema
    return api.openapi_schema


def _reply(failure: Failure) -> Response:
    return JSONResponse(failure.reply.model_dump(), failure.status, dict(failure.headers))


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return _reply(failure_of(error))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _reply(plain_failure(error.status_code, f"{error.detail}.", error.headers))


async def _on_client_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


HANDLERS: dict[type[Exception], Callable[..., Any]] = {
    AppError: _on_error,
    HTTPException: _on_http_error,
    ClientGone: _on_client_gone,
}
