"""The tokens that the engines generate in this process, and what one plain pass through a model says of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from app.engine.answer import Job, prepare
from app.engine.caches import Caches
from app.engine.logprobs import Logprobs, Scored
from app.engine.tokens import Tokens
from app.messages import Message
from tests.engine.conftest import loaded_model
from tests.engine.test_plain import GREEDY


@dataclass
class Generated:
    """All tokens of an answer, and the places among them of those that have entries: hidden ones and ends do not."""

    ids: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)


Kept = dict[Logprobs | None, Generated]


@contextmanager
def generated() -> Iterator[Kept]:
    """What is generated meanwhile, answer by answer."""
    answers: Kept = defaultdict(Generated)
    take, keep = Tokens.take, Logprobs.keep

    def taken(self: Tokens, token: int) -> None:
        answers[self.logprobs].ids.append(token)
        take(self, token)

    def told(self: Logprobs, scored: Scored, start: int) -> None:
        answers[self].told.append(len(answers[self].ids) - 1)
        keep(self, scored, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tokens, "take", taken)
        patch.setattr(Logprobs, "keep", told)
        yield answers


def one_pass(name: str, messages: Sequence[Message], ids: Sequence[int]) -> Tensor:
    """Log-softmax (tokens, vocab_size) of the logits before each token of an answer, without any cache."""
    loaded = loaded_model(name)
    job = Job(messages, GREEDY, lambda chunk: None, lambda: False, 0.0)
    prompt, _ = prepare(loaded, job, Caches.of(loaded.runner, 0), "pyav")
    model = loaded.runner.generating_model
    with torch.inference_mode():
        embeds, _ = loaded.runner.embed(prompt, lambda done, total: None)
        answer = model.get_input_embeddings()(torch.tensor([ids]))
        logits = model(inputs_embeds=torch.cat([embeds, answer], 1)).logits[0, prompt.tokens - 1 : -1]
    return logits.double().log_softmax(-1)
