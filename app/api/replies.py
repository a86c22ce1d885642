"""What is answered, in the shapes of the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, TypeAlias

from pydantic import BaseModel

from app.messages import Candidate, Stage, TokenLogprob

ErrorKind: TypeAlias = Literal["invalid_request_error", "rate_limit_error", "server_error"]


class ErrorBody(BaseModel):
    """What is wrong and what to do."""

    message: str
    type: ErrorKind
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """An error."""

    error: ErrorBody


class PromptTokens(BaseModel):
    """Of a prompt's tokens, those that were not computed again, and those that are features of pictures."""

    cached_tokens: int = 0
    image_tokens: int = 0


class UsageReply(BaseModel):
    """What an answer cost, in tokens; of several answers the prompt is counted once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokens


class AnswerMessage(BaseModel):
    """A whole answer; `reasoning_content` is what the model said to itself before."""

    role: Literal["assistant"] = "assistant"
    content: str
    reasoning_content: str | None = None


class TopLogprob(BaseModel):
    """A token that could come, its UTF-8 bytes where they are known, and the logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int] | None

    @classmethod
    def of(cls, candidate: Candidate) -> Self:
        """In the protocol's shape."""
        data = candidate.data
        return cls(token=candidate.token, logprob=candidate.logprob, bytes=None if data is None else list(data))


class TokenEntry(TopLogprob):
    """A token that came; `top_logprobs` are the likeliest in its place."""

    top_logprobs: list[TopLogprob] = []


class LogprobsReply(BaseModel):
    """The tokens of an answer or of a part of it."""

    content: list[TokenEntry]
    refusal: None = None

    @classmethod
    def of(cls, entries: Sequence[TokenLogprob]) -> Self:
        """In the protocol's shape."""
        content = []
        for entry in entries:
            told = TokenEntry.of(entry.chosen)
            told.top_logprobs = [TopLogprob.of(candidate) for candidate in entry.top]
            content.append(told)
        return cls(content=content)


class Choice(BaseModel):
    """One of the answers asked for."""

    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: LogprobsReply | None = None


class Completion(BaseModel):
    """The reply to a request that does not stream."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageReply


class Delta(BaseModel):
    """What is new of an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None


class ChunkChoice(BaseModel):
    """A step of one of the answers."""

    index: int
    delta: Delta
    finish_reason: Literal["stop", "length"] | None = None
    logprobs: LogprobsReply | None = None


class ProgressReply(BaseModel):
    """How far an answer is before its first text; in the queue, its place and about how long it has to wait."""

    stage: Stage
    done: int
    total: int
    seconds: float | None = None


class CompletionChunk(BaseModel):
    """One event of a stream; the last one may have the usage and no choices, and those of the progress have none."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageReply | None = None
    progress: ProgressReply | None = None


class ModelTakes(BaseModel):
    """What a model takes and its defaults, for a page in front of this server.

    `defaults` are by option, those of "beam.NAME" for beam search; `hidden_options` have no effect.
    """

    max_images: int | None
    video: bool
    system_prompt: bool
    few_shot: bool
    beam_search: bool
    random_weights: bool
    has_chat: bool
    logprobs: bool
    defaults: dict[str, Any]
    hidden_options: list[str]


class ModelCard(BaseModel):
    """A model that may be asked for; an adapter names the model it belongs to as its parent."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    parent: str | None = None
    max_model_len: int | None = None
    capabilities: ModelTakes


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """Whether answers can be had, and if not why."""

    status: Literal["ok", "loading", "failed", "away"]
    detail: str = ""


class Version(BaseModel):
    """Of this application."""

    version: str
