"""How each request in a batch chooses its next token: with the library's own processors, request by request."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor

from app.engine.logprobs import Scored, score
from app.modeling.generation import GeneratedRepetitionPenalty
from app.sampling import SamplingParams


class Choice:
    """One request's way to choose, the same as that of `generate`.

    Args:
        params: its options. ends: tokens that end an answer. device: of the scores.

    Attributes:
        ids: what it has chosen.
        scored: the tokens that nobody has fetched yet, where their log probabilities are asked for.
    """

    def __init__(self, params: SamplingParams, ends: Sequence[int], device: torch.device) -> None:
        self.ids: list[int] = []
        self.scored: deque[Scored] = deque()
        self._logprobs = params.logprobs
        self._device = device
        self._sampling = params.do_sample
        self._generator = torch.Generator(device)
        self._generator.manual_seed(secrets.randbits(63) if params.seed is None else params.seed)
        steps: list[Any] = []
        if params.min_new_tokens:
            steps.append(MinNewTokensLengthLogitsProcessor(0, params.min_new_tokens, list(ends), device=str(device)))
        if params.repetition_penalty != 1.0:
            steps.append(GeneratedRepetitionPenalty(params.repetition_penalty))
        if params.do_sample and params.temperature != 1.0:
            steps.append(TemperatureLogitsWarper(params.temperature))
        if params.do_sample and params.top_k:
            steps.append(TopKLogitsWarper(params.top_k))
        if params.do_sample and params.top_p < 1.0:
            steps.append(TopPLogitsWarper(params.top_p))
        if params.do_sample and params.min_p:
            steps.append(MinPLogitsWarper(params.min_p))
        self._steps = LogitsProcessorList(steps)

    @property
    def likeliest(self) -> bool:
        """Whether it always is the likeliest token, whatever came before."""
        return not self._steps and not self._sampling

    def score(self, scores: Tensor, token: Tensor) -> None:
        """Keep the log probability of the next token, where it is asked for, by the scores (1, vocab_size)."""
        if self._logprobs is not None:
            self.scored.append(score(scores[0], int(token), self._logprobs))

    def __deepcopy__(self, memo: Any) -> Choice:
        """Itself: the scheduler copies a request that it puts back, which goes on with what it has chosen."""
        return self

    def __call__(self, scores: Tensor) -> int:
        """The next token from scores (1, vocab_size) of what was generated so far."""
        if self._steps:
            scores = self._steps(torch.tensor([self.ids], dtype=torch.int64, device=self._device), scores)
        if self._sampling:
            token = torch.multinomial(scores.softmax(-1), 1, generator=self._generator)
        else:
            token = scores.argmax(-1)
        self.ids.append(int(token))
        return self.ids[-1]


class Choices(ContinuousBatchingLogitsProcessor):
    """Keeps the scores of a step, of which the scheduler takes the likeliest, for requests that choose otherwise.

    Args:
        most: requests in a step at most.
    """

    supported_kwargs = {"choice": Choice}  # noqa: RUF012  as the base class declares it
    ignored_kwargs = ()

    def __init__(self, most: int) -> None:
        self._most = most
        self._requests: list[Any] = []
        # Always in the same place, where a recorded step writes them.
        self._scores: Tensor | None = None

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """There are none."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Tensor:
        """Remember whose scores come next, in their order."""
        self._requests = list(requests_with_new_token)
        return torch.zeros(len(self._requests), dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        """The scores (requests, vocab_size) themselves."""
        if self._scores is None:
            self._scores = scores.new_empty(self._most, scores.shape[-1])
        self._scores[: len(scores)].copy_(scores)
        return scores

    def choose(self, tokens: Tensor) -> None:
        """Put the tokens of those that choose for themselves into those of all, int32 (requests or more,)."""
        for row, request in enumerate(self._requests):
            choice = request.state.logit_processor_kwargs.get("choice")  # none in a warm-up
            if self._scores is None or choice is None:
                continue
            scores = self._scores[row : row + 1]
            if not choice.likeliest:
                tokens[row] = choice(scores.clone())
            choice.score(scores, tokens[row])
