"""Log probabilities of generated tokens: those of the model itself, before anything that is asked changes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from app.engine.token_texts import TokenTexts
from app.messages import Candidate, TokenLogprob


@dataclass(frozen=True, slots=True)
class Scored:
    """A generated token.

    Attributes:
        id: the token's.
        logprob: natural logarithm of its probability.
        top: ids and log probabilities of the likeliest tokens, the likeliest first.
    """

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


def score(logits: Tensor, token: int, count: int) -> Scored:
    """A token under the model's own distribution: the log-softmax of its logits as they are.

    Neither temperature, top-k, top-p and min-p nor penalties and the shortest length have a part in it.

    Args:
        logits: (vocab_size,), as the model computed them.
        count: how many of the likeliest to tell.
    """
    values = logits.float().log_softmax(-1)
    chosen = float(values[token])
    likeliest = values.topk(min(count, len(values)))
    top = list(zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True))
    # Of equally likely tokens the chosen one is told first, and not lost behind the last.
    if top and chosen >= top[-1][1] and all(one != token for one, _ in top):
        top[-1] = (token, chosen)
    top.sort(key=lambda pair: (-pair[1], pair[0] != token))
    return Scored(token, chosen, tuple(top))


@contextmanager
def watched(module: nn.Module) -> Iterator[deque[Tensor]]:
    """Logits (vocab_size,) of the last position of each pass through a model with its head, oldest first.

    Who reads them takes them out: the library may hand a token on only after the next pass.
    """
    rows: deque[Tensor] = deque()

    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        rows.append(output.logits[0, -1].clone())

    hook = module.register_forward_hook(keep)
    try:
        yield rows
    finally:
        hook.remove()


class Logprobs:
    """The entries of an answer's tokens, kept until the text comes out that they make.

    Args:
        score: scores each generated token, which it is given in their order.
        texts: of the tokens.
    """

    def __init__(self, score: Callable[[int], Scored], texts: TokenTexts) -> None:
        self.score = score
        self._texts = texts
        self._kept: deque[tuple[int, TokenLogprob]] = deque()

    def keep(self, scored: Scored, start: int) -> None:
        """Keep a token's entry; its text begins behind so many characters of the answer."""
        top = tuple(self._candidate(*pair) for pair in scored.top)
        self._kept.append((start, TokenLogprob(self._candidate(scored.id, scored.logprob), top)))

    def until(self, end: int) -> tuple[TokenLogprob, ...]:
        """The entries kept so far whose text begins within so many characters of the answer."""
        found = []
        while self._kept and self._kept[0][0] < end:
            found.append(self._kept.popleft()[1])
        return tuple(found)

    def rest(self) -> tuple[TokenLogprob, ...]:
        """All that are left."""
        found = tuple(entry for _, entry in self._kept)
        self._kept.clear()
        return found

    def _candidate(self, token: int, logprob: float) -> Candidate:
        data = self._texts.bytes_of(token)
        return Candidate(data.decode("utf-8", "replace"), logprob, data)
