"""Tokens of an answer while they come: counted, timed, and handed on as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from torch import Tensor
from transformers.generation.streamers import BaseStreamer

from app.engine.detokenizer import StreamDecoder
from app.engine.logprobs import Logprobs
from app.messages import Chunk
from app.stop_texts import StopTexts

Emit = Callable[[Chunk], None]


@dataclass(slots=True)
class Tokens(BaseStreamer):
    """Takes tokens as they are generated and emits their text.

    Attributes:
        answer, thoughts: decoders of the two kinds of text.
        hidden: tokens without text: the ends, and what the family hides.
        marks: tokens that begin and end the model's thinking; None if it has none.
        thinking: whether it is in its thinking now.
        stop: ends the answer before what was asked for.
        logprobs: scores the tokens; those of the answer's text are told with it. None where nobody asks.
        shown: characters of the answer emitted.
    """

    answer: StreamDecoder
    thoughts: StreamDecoder
    ends: frozenset[int]
    hidden: frozenset[int]
    marks: tuple[int, int] | None
    thinking: bool
    bos: int | None
    emit: Emit
    stop: StopTexts
    ids: list[int] = field(default_factory=list)
    first_at: float | None = None
    last_at: float | None = None
    longest_gap: float | None = None
    logprobs: Logprobs | None = None
    shown: int = 0

    @property
    def count(self) -> int:
        """Tokens so far."""
        return len(self.ids)

    @property
    def stopped(self) -> bool:
        """Whether a text came before which the answer ends."""
        return self.stop.found

    @property
    def last(self) -> int | None:
        """The latest token."""
        return self.ids[-1] if self.ids else None

    def put(self, value: Tensor) -> None:
        """Take new tokens; the prompt, which comes first, is empty because it was given as embeddings."""
        for token in value.flatten().tolist():
            self.take(token)

    def take(self, token: int) -> None:
        """Count a token and emit what text it completes."""
        now = monotonic()
        if self.last_at is not None:
            self.longest_gap = max(self.longest_gap or 0.0, now - self.last_at)
        self.first_at, self.last_at = self.first_at or now, now
        self.ids.append(token)
        scored = self.logprobs.score(token) if self.logprobs else None
        leading_bos = self.count == 1 and token == self.bos
        if token in self.ends or token in self.hidden or leading_bos:
            return
        if self.marks and token in self.marks:
            self.end()
            self.thinking = token == self.marks[0]
        else:
            if self.logprobs and scored and not self.thinking:
                self.logprobs.keep(scored, self.answer.length)
            self._show((self.thoughts if self.thinking else self.answer).push(token))

    def end(self) -> None:
        """Emit the text that was held back."""
        self._show((self.thoughts if self.thinking else self.answer).finish())
        self._answer(self.stop.finish())
        # White space at the end, which is no part of the text. Behind a stop text there is nothing to tell.
        if self.logprobs and not self.stopped and (rest := self.logprobs.rest()):
            self.emit(Chunk(logprobs=rest))

    def _show(self, text: str) -> None:
        if not self.thinking:
            self._answer(self.stop.push(text))
        elif text:
            self.emit(Chunk(thinking=text))

    def _answer(self, text: str) -> None:
        if text:
            self.shown += len(text)
            self.emit(Chunk(text, logprobs=self.logprobs.until(self.shown) if self.logprobs else ()))
