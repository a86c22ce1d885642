"""Answers put together as the protocol has them: whole, or event by event."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from secrets import token_hex
from time import time
from typing import TypeAlias

from app.api.errors import ApiError, failure_of
from app.api.follow import Step
from app.api.replies import (
    AnswerMessage,
    Choice,
    ChunkChoice,
    Completion,
    CompletionChunk,
    Delta,
    LogprobsReply,
    ProgressReply,
    PromptTokens,
    UsageReply,
)
from app.errors import AppError
from app.messages import Chunk, FinishReason, Progress, TokenLogprob, Usage

Steps: TypeAlias = AsyncGenerator[Step | None, None]

DONE = "data: [DONE]\n\n"
SIGN_OF_LIFE = ": still at it\n\n"


@dataclass(frozen=True, slots=True)
class Head:
    """What every event of an answer repeats."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{token_hex(12)}")
    created: int = field(default_factory=lambda: int(time()))


def check_whole(chunk: Chunk) -> None:
    """Raise an `ApiError` if old messages were left out: a program is told, as by every other server."""
    for notice in chunk.notices:
        if notice.kind == "turns_dropped":
            raise ApiError(
                "The conversation is longer than the model's context.",
                "Send fewer messages, smaller images or a smaller max_tokens.",
                code="context_length_exceeded",
                param="messages",
            )


async def begin(steps: Steps) -> list[Step]:
    """The steps up to the first that brings something; fewer if that takes long, so that the client hears something.

    Raises:
        AppError: the answer failed before it began.
    """
    first: list[Step] = []
    async for step in steps:
        if step is None:
            break
        check_whole(step[1])
        first.append(step)
        if step[1].text or step[1].thinking or step[1].finish_reason or step[1].progress:
            break
    return first


async def whole(steps: Steps, head: Head, count: int, logprobs: bool = False) -> Completion:
    """The reply to a request that does not stream.

    Args:
        logprobs: whether it is to tell them.

    Raises:
        AppError: an answer failed.
    """
    texts, thoughts = [""] * count, [""] * count
    reasons: list[FinishReason] = ["stop"] * count
    entries: list[list[TokenLogprob]] = [[] for _ in range(count)]
    usages: dict[int, Usage] = {}
    async for step in steps:
        if step is None:
            continue
        number, chunk = step
        check_whole(chunk)
        texts[number] += chunk.text
        thoughts[number] += chunk.thinking
        entries[number] += chunk.logprobs
        reasons[number] = chunk.finish_reason or reasons[number]
        if chunk.usage:
            usages[number] = chunk.usage
    choices = [
        Choice(
            index=number,
            message=AnswerMessage(content=texts[number], reasoning_content=thoughts[number] or None),
            finish_reason=reasons[number],
            logprobs=LogprobsReply.of(entries[number]) if logprobs else None,
        )
        for number in range(count)
    ]
    return Completion(id=head.id, created=head.created, model=head.model, choices=choices, usage=usage_reply(usages))


async def events(first: Sequence[Step], steps: Steps, head: Head, count: int, usage: bool) -> AsyncIterator[str]:
    """The reply to a request that streams, as server-sent events; an error in the middle is the last one.

    Args:
        first: steps taken already.
        usage: whether the last event is to tell it.
    """
    usages: dict[int, Usage] = {}
    try:
        for number in range(count):
            yield _event(head, ChunkChoice(index=number, delta=Delta(role="assistant", content="")), usage)
        async for step in _chained(first, steps):
            if step is None:
                yield SIGN_OF_LIFE
                continue
            number, chunk = step
            check_whole(chunk)
            if chunk.usage:
                usages[number] = chunk.usage
            if chunk.progress and not chunk.text:
                yield _data(_chunk(head, [], None, told=usage, progress=chunk.progress))
            for choice in _parts(number, chunk):
                yield _event(head, choice, usage)
            if chunk.finish_reason:
                yield _event(head, ChunkChoice(index=number, delta=Delta(), finish_reason=chunk.finish_reason), usage)
        if usage:
            yield _data(_chunk(head, [], usage_reply(usages)))
    except AppError as error:
        yield error_event(error)
    yield DONE


def error_event(error: AppError) -> str:
    """What a stream that began well says when it fails."""
    return _data(failure_of(error).reply.model_dump_json())


def usage_reply(usages: dict[int, Usage]) -> UsageReply:
    """What some answers to one prompt cost."""
    first = usages.get(0) or next(iter(usages.values()), Usage())
    new = sum(usage.new_tokens for usage in usages.values())
    return UsageReply(
        prompt_tokens=first.prompt_tokens,
        completion_tokens=new,
        total_tokens=first.prompt_tokens + new,
        prompt_tokens_details=PromptTokens(cached_tokens=first.cached_tokens, image_tokens=first.vision_tokens or 0),
    )


async def _chained(first: Sequence[Step], steps: Steps) -> AsyncIterator[Step | None]:
    for step in first:
        yield step
    async for later in steps:
        yield later


def _parts(number: int, chunk: Chunk) -> Iterator[ChunkChoice]:
    if chunk.thinking:
        yield ChunkChoice(index=number, delta=Delta(reasoning_content=chunk.thinking))
    if chunk.text or chunk.logprobs:
        told = LogprobsReply.of(chunk.logprobs) if chunk.logprobs else None
        yield ChunkChoice(index=number, delta=Delta(content=chunk.text), logprobs=told)


def _event(head: Head, choice: ChunkChoice, usage: bool) -> str:
    return _data(_chunk(head, [choice], None, told=usage))


def _chunk(
    head: Head,
    choices: list[ChunkChoice],
    usage: UsageReply | None,
    told: bool = True,
    progress: Progress | None = None,
) -> str:
    """An event's JSON: a delta has only what is new, and `usage` is there, if only as null, where it was asked for."""
    chunk = CompletionChunk(
        id=head.id,
        created=head.created,
        model=head.model,
        choices=choices,
        usage=usage,
        progress=ProgressReply(**asdict(progress)) if progress else None,
    )
    data = chunk.model_dump(exclude={*(() if told else ("usage",)), *(() if progress else ("progress",))})
    for shown, choice in zip(data["choices"], choices, strict=True):
        shown["delta"] = choice.delta.model_dump(exclude_none=True)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _data(text: str) -> str:
    return f"data: {text}\n\n"
