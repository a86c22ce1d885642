"""One question with its answer, and what makes a question acceptable to a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from uuid import uuid4

from app.backends.base import Capabilities
from app.errors import AppError, RequestError
from app.feedback import Rating
from app.messages import Image, Message, Notice, Text, Usage, Video
from app.meter import Fix
from app.sampling import BASE, SamplingParams
from app.texts import Phrase

State: TypeAlias = Literal["pending", "done", "stopped", "failed", "example"]


def _new_key() -> str:
    return uuid4().hex


@dataclass(slots=True, eq=False)
class Turn:
    """One question with its answer.

    Attributes:
        user: the question.
        answer: the answer so far.
        thinking: what the model said to itself before; the model does not see it again.
        state: "pending" while the answer is written; "stopped" and "failed" keep what was written until then;
            "example" is a few-shot example, its answer given by the user.
        error: what went wrong last, to be shown with the turn. A "done" turn has one after a regeneration failed
            and its answer came back.
        usage: what the answer cost, once it is complete.
        notices: what the user should know about the answer.
        key: unique; another version of the turn has another one.
        params: the options that the answer was asked with; None of an example.
        left_out: the user keeps it from the model, for the rest to fit.
        fixes: what to try where there was no room for the answer.
        rating: what the user thinks of the answer.
        asked: the messages that the answer was written from; empty where there is none, or where they are unknown.
        asked_digest: what tells these from others; kept where they themselves are not.
    """

    user: Message
    answer: str = ""
    state: State = "pending"
    error: AppError | None = None
    usage: Usage | None = None
    notices: tuple[Notice, ...] = ()
    key: str = field(default_factory=_new_key)
    thinking: str = ""
    params: SamplingParams | None = None
    asked: tuple[Message, ...] = ()
    asked_digest: str = ""
    left_out: bool = False
    fixes: tuple[Fix, ...] = ()
    rating: Rating | None = None

    def messages(self) -> tuple[Message, ...]:
        """What the model sees of it: nothing if it was never answered or left out, the question alone while it is."""
        if self.left_out:
            return ()
        if self.state == "pending":
            return (self.user,)
        return (self.user, Message.of("assistant", self.answer)) if self.answer else ()


def check_not_empty(message: Message) -> None:
    """Raise a RequestError if there is neither text nor media."""
    if all(isinstance(part, Text) and not part.text.strip() for part in message.content):
        raise RequestError(Phrase("message_empty"), Phrase("do_write_something"))


def check_capabilities(turns: Sequence[Turn], params: SamplingParams, capabilities: Capabilities) -> None:
    """Raise a RequestError if the model cannot take these turns; it says what was got and what is allowed."""
    parts = [part for turn in turns for message in turn.messages() for part in message.content]
    images = sum(isinstance(part, Image) for part in parts)
    videos = sum(isinstance(part, Video) for part in parts)
    examples = sum(turn.state == "example" for turn in turns)
    allowed, model = capabilities.max_images, capabilities.model
    if allowed is not None and images > allowed:
        raise RequestError(
            Phrase("images_over", images=images, model=model, allowed=allowed),
            Phrase("do_fewer_in_talk"),
        )
    if videos and not capabilities.video:
        raise RequestError(
            Phrase("videos_over" if videos > 1 else "videos_over_one", videos=videos, model=model),
            Phrase("do_send_frames"),
        )
    if examples and not capabilities.few_shot:
        raise RequestError(
            Phrase("examples_over" if examples > 1 else "examples_over_one", examples=examples, model=model),
            Phrase("do_delete_examples"),
        )
    if params.system_prompt.strip() and not capabilities.system_prompt:
        raise RequestError(Phrase("system_none_taken", model=model), Phrase("do_empty_system"))
    if params.adapter and params.adapter not in capabilities.adapters:
        known = ", ".join((BASE, *capabilities.adapters))
        raise RequestError(
            Phrase("adapter_asked", adapter=params.adapter, model=model, known=known), Phrase("do_choose_one")
        )
    if params.searching and not capabilities.beam_search:
        raise RequestError(Phrase("beams_none", model=model), Phrase("do_choose_sampling"))
