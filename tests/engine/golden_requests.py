"""Every golden conversation as a request to an engine, with the tokens of the official answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.messages import Image, Message
from app.sampling import SamplingParams
from tests.engine.test_legacy_families import messages_of as legacy_messages
from tests.engine.test_plain import GREEDY
from tests.modeling.golden import Case, cases
from tests.modeling.legacy import LEGACY, legacy_cases
from tests.modeling.test_golden import MASKED_BY_OFFICIAL, golden_answer

# The likeliest token is taken here too, after a penalty; the only comparable answer where the official code masks "!".
LIKELIEST = replace(GREEDY, do_sample=True, top_k=1, top_p=0.8, temperature=0.7, repetition_penalty=1.05)


@dataclass(frozen=True, slots=True)
class GoldenRequest:
    """A conversation whose last turn is a question.

    Attributes:
        tokens: of the official answer, its end among them.
        text: of the official answer.
    """

    name: str
    messages: Sequence[Message]
    params: SamplingParams
    tokens: list[int]
    text: str


def golden_requests(model: str) -> list[GoldenRequest]:
    """All of a model; a case that is a batch is as many as it has conversations."""
    if model in LEGACY:
        return [
            GoldenRequest(case.name, legacy_messages(case), GREEDY, greedy["tokens"], greedy["text"])
            for case in legacy_cases(model)
            for greedy in [case.expected["greedy"]]
        ]
    return [request for case in cases(model) for request in _requests_of(case)]


def _requests_of(case: Case) -> list[GoldenRequest]:
    spec, masked = case.spec, case == MASKED_BY_OFFICIAL
    answer = golden_answer(case, "stream_topk1" if masked else "greedy")
    assert answer is not None
    # No golden conversation is as long as what the official code cuts off at.
    options = {name: value for name, value in spec["chat_kwargs"].items() if name != "max_inp_length"}
    params = replace(LIKELIEST if masked else GREEDY, max_new_tokens=spec["max_new_tokens"], **options)
    conversations = case.msgs() if spec["batched"] else [case.msgs()]
    texts = answer["text"] if spec["batched"] else ["".join(answer["text"])]
    made = []
    for at, (turns, text) in enumerate(zip(conversations, texts, strict=True)):
        messages = [_message(turn) for turn in turns]
        if spec["image_arg"]:
            messages[0] = replace(messages[0], content=(Image(case.image(spec["image_arg"])), *messages[0].content))
        name = f"{case.name}-{at}" if spec["batched"] else case.name
        made.append(GoldenRequest(name, messages, params, answer["generated_ids"][at], text.strip()))
    return made


def _message(turn: dict[str, Any]) -> Message:
    content = turn["content"] if isinstance(turn["content"], list) else [turn["content"]]
    return Message.of(turn["role"], *(part if isinstance(part, str) else Image(part) for part in content))
