"""A server that has the quirks of each engine, for tests over real HTTP; what was seen of them is in one table."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse


@dataclass(frozen=True)
class Quirks:
    """How an engine behaves.

    Attributes:
        models: its /v1/models, "MODEL" standing for the name.
        paths: further answers by path, None for none, a number for a status.
        known: the fields of a request that it takes; None takes all in silence.
        ignored: fields that it takes and ignores in silence.
        wrong_model: the status of a request for another model; 200 serves it anyway.
        parts: kinds of parts it takes.
        context_error: the answer to a prompt that is too long.
        role_first: the first event has the role and no text.
        usage: "asked" (an event without choices if stream_options asks), "last" (with the last event).
        done: it ends a stream with [DONE].
        cached: it tells the tokens that were reused.
        logprobs: it tells log probabilities; others ignore that they were asked for.
    """

    models: Mapping[str, Any]
    paths: Mapping[str, Any] = field(default_factory=dict)
    known: frozenset[str] | None = None
    ignored: frozenset[str] = frozenset()
    wrong_model: int = 404
    parts: frozenset[str] = frozenset({"text", "image_url"})
    context_error: Any = None
    role_first: bool = True
    usage: str = "asked"
    done: bool = True
    cached: bool = False
    logprobs: bool = False


def _card(owner: str, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "MODEL", "object": "model", "owned_by": owner, **more}]}


def _openai_error(message: str, kind: str = "BadRequestError", code: Any = 400) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


STANDARD = frozenset(
    "model messages stream stream_options max_tokens temperature top_p seed stop generation_config n".split()
)
SMALL = "This model's maximum context length is 40 tokens. However, your request has {tokens} input tokens."
ENGINES: Mapping[str, Quirks] = {
    "vllm": Quirks(
        _card("vllm", max_model_len=8192),
        {"/version": {"version": "0.32.0"}},
        logprobs=True,
        parts=frozenset({"text", "image_url", "video_url"}),
        context_error=_openai_error(SMALL),
    ),
    "sglang": Quirks(
        _card("sglang", max_model_len=4096),
        {"/get_server_info": {"version": "0.5.23"}},
        logprobs=True,
        wrong_model=200,
        ignored=frozenset({"seed"}),
        context_error=_openai_error("The input (50 tokens) is longer than the model's context length (40 tokens)."),
        cached=True,
    ),
    "llama-server": Quirks(
        _card("llamacpp", meta={"n_ctx_train": 32768}),
        {"/props": {"default_generation_settings": {"n_ctx": 4096}}},
        logprobs=True,
        ignored=frozenset({"repetition_penalty", "mm_processor_kwargs", "use_beam_search"}),
        wrong_model=200,
        parts=frozenset({"text", "image_url", "video_url", "input_video"}),
        context_error={
            "error": {
                "code": 400,
                "message": "request (50 tokens) exceeds the available context size (40 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 50,
                "n_ctx": 40,
            }
        },
        role_first=False,
        cached=True,
    ),
    "ollama": Quirks(
        _card("library"),
        {"/api/version": {"version": "0.12.3"}, "/health": None},
        known=None,
        ignored=frozenset({"top_k", "repetition_penalty", "repeat_penalty", "mm_processor_kwargs"}),
        context_error=_openai_error("input length exceeds the context length", "invalid_request_error", None),
    ),
    "transformers": Quirks(
        {"object": "list", "data": []},
        {"/openapi.json": {"info": {"title": "FastAPI"}, "paths": {"/load_model": {}, "/v1/chat/completions": {}}}},
        known=STANDARD,
        wrong_model=400,
        context_error={"detail": "The prompt is too long: 50 tokens."},
        usage="last",
        done=False,
    ),
    "lmdeploy": Quirks(
        _card("lmdeploy"),
        ignored=frozenset({"stop_token_ids"}),
        context_error=_openai_error("input length 50 exceeds the context window 40"),
    ),
    "minicpm": Quirks(
        _card("minicpm-v-web-demo", max_model_len=2048),
        parts=frozenset({"text", "image_url", "video_url"}),
        context_error=_openai_error("too long", "invalid_request_error", "context_length_exceeded"),
        cached=True,
    ),
}


class FakeEngine:
    """One server. What tests set and read:

    Attributes:
        answer: what it says, word by word.
        delay: seconds before each word.
        requests: the bodies it got.
        headers: the headers of each request for an answer.
        running, finished, stopped: answers being written, written to the end, ended because nobody listens any more.
        fault: "" or what goes wrong: "500", "429", "slow" (no word ever), "drop:N" (the connection ends after N words),
            "error:N" (an error event after N words), "end:N" (the stream ends without a reason after N words).
        context: tokens that fit; 0 is any number. A word is a token, a medium ten.
        key: the bearer token it asks for, or none.
        health: the status of /health.
    """

    def __init__(self, engine: str, model: str = "minicpm-v") -> None:
        self.engine, self.model, self.quirks = engine, model, ENGINES[engine]
        self.answer, self.delay = "one two three four", 0.0
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.running = self.finished = self.stopped = 0
        self.fault, self.context, self.key, self.health = "", 0, "", 200
        self.url = ""
        self.app = self._routes()

    @property
    def last(self) -> dict[str, Any]:
        """The last request's body."""
        return self.requests[-1]

    def _routes(self) -> FastAPI:
        app = FastAPI(openapi_url=None)

        @app.get("/{path:path}")
        async def get(path: str, request: Request) -> Response:
            if path.startswith("v1/") and not self._admitted(request.headers):
                return self._unauthorised()
            return self._get("/" + path)

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> Response:
            return self._chat(await request.json(), request.headers)

        return app

    def _admitted(self, headers: Mapping[str, str]) -> bool:
        return not self.key or headers.get("authorization") == f"Bearer {self.key}"

    @staticmethod
    def _unauthorised() -> Response:
        return JSONResponse(_openai_error("Unauthorized", "Unauthorized", 401), 401)

    def _get(self, path: str) -> Response:
        if path in self.quirks.paths:
            found = self.quirks.paths[path]
            if isinstance(found, int):
                return PlainTextResponse("Internal Server Error", found)
            return JSONResponse({"detail": "Not Found"}, 404) if found is None else JSONResponse(found)
        if path == "/v1/models":
            return JSONResponse(json.loads(json.dumps(self.quirks.models).replace("MODEL", self.model)))
        if path == "/health":
            return PlainTextResponse("", self.health)
        if path == "/metrics":
            return PlainTextResponse(f"num_requests_running {self.running}\n")
        return JSONResponse({"detail": "Not Found"}, 404)

    def _chat(self, body: dict[str, Any], headers: Mapping[str, str]) -> Response:
        self.requests.append(body)
        self.headers.append(dict(headers))
        refusal = self._refusal(body, headers)
        if refusal is not None:
            return refusal
        if not body.get("stream"):
            return JSONResponse(self._whole(body))
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    def _refusal(self, body: dict[str, Any], headers: Mapping[str, str]) -> Response | None:
        quirks = self.quirks
        if not self._admitted(headers):
            return self._unauthorised()
        if self.fault in ("500", "429", "503"):
            return JSONResponse(_openai_error("Something is wrong inside", "x", int(self.fault)), int(self.fault))
        if body.get("model") != self.model and quirks.wrong_model != 200:
            message = f"The model `{body.get('model')}` does not exist."
            if self.engine == "transformers":
                return JSONResponse({"detail": f"Server is pinned to '{self.model}'; requested another."}, 400)
            return JSONResponse(_openai_error(message, "NotFoundError", 404), quirks.wrong_model)
        if quirks.known is not None and (unknown := set(body) - quirks.known):
            return JSONResponse({"detail": f"Unexpected fields in the request: {unknown}"}, 422)
        if self.engine == "vllm" and body.get("mm_processor_kwargs"):
            self.fault = "500"  # a number of slices other than the server's own ends the engine
            return JSONResponse(_openai_error("EngineCore died", "InternalServerError", 500), 500)
        if self.engine == "llama-server" and body.get("repeat_last_n", 0) < 0:
            message = "Field 'repeat_last_n': Value must be between 0 <= value <= 2147483647, but got -1"
            return JSONResponse(_openai_error(message, "invalid_request_error"), 400)
        if self.engine == "sglang" and body.get("top_k") == 0:
            return JSONResponse(_openai_error("top_k must be -1 or >=1, got 0"), 400)
        parts = [part for message in body["messages"] if isinstance(message["content"], list) for part in
                 message["content"]]  # fmt: skip
        for part in parts:
            if part["type"] not in quirks.parts:
                return JSONResponse(_openai_error(f"Unknown part {part['type']}"), 400)
            if part["type"] != "text" and not self._readable(part):
                return JSONResponse(_openai_error("The image cannot be decoded"), 400)
        if self.context and self.tokens(body) > self.context:
            error = json.loads(json.dumps(quirks.context_error).replace("{tokens}", str(self.tokens(body))))
            return JSONResponse(error, 400)
        return None

    @staticmethod
    def _readable(part: dict[str, Any]) -> bool:
        kind, _, data = part[part["type"]]["url"].partition(";base64,")
        raw = base64.b64decode(data)
        signatures = {
            "data:image/png": raw[:4] == b"\x89PNG",
            "data:image/jpeg": raw[:2] == b"\xff\xd8",
            "data:video/mp4": raw[4:8] == b"ftyp",
        }
        return signatures.get(kind, False)

    @staticmethod
    def tokens(body: dict[str, Any]) -> int:
        """A word is a token, a medium ten."""
        count = 0
        for message in body["messages"]:
            content = message["content"]
            for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                count += len(part["text"].split()) if part["type"] == "text" else 10
        return count

    def _usage(self, body: dict[str, Any], new: int) -> dict[str, Any]:
        prompt = self.tokens(body)
        details = {"prompt_tokens_details": {"cached_tokens": 3}} if self.quirks.cached else {}
        return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new, **details}

    def _words(self, body: dict[str, Any]) -> tuple[list[str], str]:
        words = self.answer.split(" ")
        words = [words[0], *(f" {word}" for word in words[1:])]
        most = body.get("max_tokens", 1000)
        return words[:most], "length" if len(words) > most else "stop"

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        words, reason = self._words(body)
        text = "".join(words)
        choices = [
            {"index": at, "message": {"role": "assistant", "content": text if at == 0 else "worse"},
             "finish_reason": reason}
            for at in range(body.get("n", 1))
        ]  # fmt: skip
        return {"id": "x", "object": "chat.completion", "created": 0, "model": self.model, "choices": choices,
                "usage": self._usage(body, len(words))}  # fmt: skip

    async def _stream(self, body: dict[str, Any]) -> AsyncIterator[str]:
        self.running += 1
        ended = False
        try:
            async for line in self._events(body):
                yield line
            ended = True
        finally:
            self.running -= 1
            self.finished += ended
            self.stopped += not ended

    async def _events(self, body: dict[str, Any]) -> AsyncIterator[str]:
        quirks = self.quirks
        fault, _, after = self.fault.partition(":")
        if fault == "slow":
            await asyncio.sleep(600)
        if quirks.role_first:
            yield self._event({"role": "assistant", "content": ""})
        words, reason = self._words(body)
        for at, word in enumerate(words):
            if fault in ("drop", "error", "end") and at == int(after):
                if fault == "drop":
                    raise RuntimeError("the engine is gone")
                if fault == "error":
                    dead = {"error": "dead"} if self.engine == "transformers" else _openai_error("EngineCore died")
                    yield f"data: {json.dumps(dead)}\n\n"
                    yield "data: [DONE]\n\n"
                return
            await asyncio.sleep(self.delay)
            told = {"logprobs": self._logprobs(body, [word])} if self._tells(body) else {}
            yield self._event({"content": word}, **told)
        told = {"usage": self._usage(body, len(words))}
        yield self._event({}, reason, **(told if quirks.usage == "last" else {}))
        if quirks.usage == "asked" and (body.get("stream_options") or {}).get("include_usage"):
            yield f"data: {json.dumps({**self._base(), 'choices': [], **told})}\n\n"
        if quirks.done:
            yield "data: [DONE]\n\n"

    def _tells(self, body: dict[str, Any]) -> bool:
        # llama-server takes 0 alternatives for not being asked.
        return self.quirks.logprobs and body.get("logprobs") and (self.engine != "llama-server" or body["top_logprobs"])

    @staticmethod
    def _logprobs(body: dict[str, Any], words: list[str]) -> dict[str, Any]:
        content = []
        for word in words:
            tops = [{"token": word if at == 0 else f"other {at}", "logprob": -0.5 - at, "bytes": None}
                    for at in range(body["top_logprobs"])]  # fmt: skip
            content.append({"token": word, "logprob": -0.5, "bytes": list(word.encode()), "top_logprobs": tops})
        return {"content": content}

    def _event(
        self, delta: dict[str, Any], reason: str | None = None, logprobs: dict[str, Any] | None = None, **more: Any
    ) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        return f"data: {json.dumps({**self._base(), 'choices': [choice], **more})}\n\n"

    def _base(self) -> dict[str, Any]:
        return {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": self.model}


@contextmanager
def serve(fake: FakeEngine, port: int = 0) -> Iterator[FakeEngine]:
    """Serve it on a port of this machine, a free one unless it is given."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    fake.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(fake.app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield fake
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()
