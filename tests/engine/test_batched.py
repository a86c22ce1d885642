"""The batched engine: the golden answers, alone and in a crowd, and nobody's answer is changed by a neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PILImage

from app.engine import admission, scheduler
from app.engine.batched import BatchedEngine
from app.engine.plain import PlainEngine
from app.engine.tickets import drain
from app.errors import GenerationError, ImageError, OutOfMemoryError
from app.messages import Image, Message
from tests.engine.conftest import loaded_model
from tests.engine.test_legacy_families import messages_of as legacy_messages
from tests.engine.test_plain import GREEDY, QUESTION, messages_of, plain_cases, text_of, usage_of, wait, wait_until
from tests.modeling.golden import MODELS
from tests.modeling.legacy import LEGACY, legacy_cases

Engines = dict[str, Any]


@pytest.fixture(scope="module")
def batched() -> Iterator[Callable[[str], BatchedEngine]]:
    made: dict[str, BatchedEngine] = {}

    def engine(name: str) -> BatchedEngine:
        if name not in made:
            made[name] = BatchedEngine(replace(loaded_model(name)), cache_bytes=64 * 1024**2)
        return made[name]

    yield engine
    for one in made.values():
        one.close()


def golden(name: str) -> list[tuple[str, list[Message], str]]:
    """Golden conversations of a model: name, messages and the greedy answer of its plain path."""
    if name in LEGACY:
        cases = [case for case in legacy_cases() if case.model == name]
        return [(str(case), legacy_messages(case), case.expected["greedy"]["text"]) for case in cases]
    member = loaded_model(name)
    return [
        (
            str(case),
            messages_of(case),
            member.model.chat(
                msgs=case.msgs(),
                tokenizer=member.processor.tokenizer,
                sampling=False,
                num_beams=1,
                repetition_penalty=1.0,
                max_new_tokens=24,
            ),
        )
        for case in plain_cases()
        if case.model == name
    ]


@pytest.mark.parametrize("name", [*MODELS, *LEGACY])
def test_golden_answers_alone_in_a_crowd_and_again(batched: Callable[[str], BatchedEngine], name: str) -> None:
    cases = golden(name)
    engine = batched(name)
    # Where layers forget what is far, the library shares no beginnings.
    shares = not getattr(loaded_model(name).model.llm.config, "sliding_window", None)
    for case, messages, expected in cases:
        assert text_of(wait(engine.submit(messages, GREEDY))) == expected, case
    # All at once, each twice, with others between them that choose in other ways, and one that is called off.
    dropped = engine.submit(cases[0][1], replace(GREEDY, max_new_tokens=500, min_new_tokens=500))
    wait_until(lambda: any(one.tokens.count for one in engine._batch.requests.values()))
    others = [engine.submit(cases[0][1], replace(GREEDY, do_sample=True, seed=seed)) for seed in range(3)]
    crowd = [(case, expected, engine.submit(messages, GREEDY)) for case, messages, expected in cases * 2]
    dropped.cancel()
    for case, expected, ticket in crowd:
        chunks = wait(ticket)
        assert text_of(chunks) == expected, case
        usage = usage_of(chunks)
        assert (usage.cached_tokens > 0) == shares and usage.cached_tokens % 16 == 0
    for ticket in others:
        wait(ticket)


@pytest.mark.parametrize("name", [*MODELS, *LEGACY])
def test_a_second_turn_an_edit_and_a_regenerate_are_those_of_a_fresh_plain_engine(
    batched: Callable[[str], BatchedEngine], name: str
) -> None:
    plain = PlainEngine(replace(loaded_model(name)), cache_bytes=0)
    short = replace(GREEDY, max_new_tokens=8)
    picture = Image(PILImage.effect_noise((500, 300), 50).convert("RGB"))
    first = [Message.of("user", picture, "What is this, and why?")]
    follow_up = [*first, Message.of("assistant", "A grey noise, I think."), Message.of("user", "What colour?")]
    edited = [*follow_up[:-1], Message.of("user", "Which shape?")]
    for messages in (first, follow_up, edited, follow_up, first):
        expected, got = (wait(engine.submit(messages, short)) for engine in (plain, batched(name)))
        assert text_of(got) == text_of(expected)
    plain.close()
    if not getattr(loaded_model(name).model.llm.config, "sliding_window", None):
        assert usage_of(got).cached_tokens > 0 and usage_of(got).cached_slices > 0


def test_a_long_prompt_is_read_between_the_tokens_of_others(
    batched: Callable[[str], BatchedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scheduler.STEP_TOKENS, "cpu", 32)
    engine = BatchedEngine(replace(loaded_model("minicpm-v-2_6")), cache_bytes=16 * 1024**2)
    writing = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=400, min_new_tokens=400))
    wait_until(lambda: any(one.tokens.count for one in engine._batch.requests.values()))
    (other,) = engine._batch.requests.values()
    long = engine.submit([Message.of("user", "cat mountain river " * 100)], replace(GREEDY, max_new_tokens=1))
    wait_until(lambda: len(engine._batch.requests) == 2)
    before = other.tokens.count
    prompt = usage_of(wait(long)).prompt_tokens
    assert prompt > 300 and other.tokens.count - before >= prompt // 32 - 2, "a token in every step of the prompt"
    writing.cancel()
    engine.close()


def test_a_closed_page_costs_no_step_more(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = BatchedEngine(replace(loaded_model("minicpm-v-2_6")), cache_bytes=16 * 1024**2)
    steps = crashing(monkeypatch, engine, lambda step: False)
    ticket = engine.submit(QUESTION, replace(GREEDY, max_new_tokens=2000, min_new_tokens=2000))
    wait_until(lambda: steps[0] > 5)
    # What hands out sees it after at most a tick or the next token; the step that is being computed ends.
    (running,) = engine._batch.requests.values()
    ticket.cancel()
    taken = running.tokens.count
    wait_until(lambda: not engine._batch.requests)
    assert running.tokens.count <= taken + 1
    wait_until(lambda: not engine._manager.batch_processor.scheduler.active_requests)
    engine.close()


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True, "temperature": 1.7, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.3},
        {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0},
        {"repetition_penalty": 1.5},
        {"min_new_tokens": 20},
        {"num_beams": 3, "repetition_penalty": 1.2},
    ],
    ids=str,
)
def test_every_request_has_its_own_options_and_says_what_the_plain_engine_says(
    batched: Callable[[str], BatchedEngine], options: dict[str, Any]
) -> None:
    name = "minicpm-v-2_6"
    plain = PlainEngine(replace(loaded_model(name)), cache_bytes=0)
    params = [replace(GREEDY, seed=seed, **options) for seed in range(4)]
    neighbours = [batched(name).submit(QUESTION, replace(GREEDY, do_sample=True, temperature=2.0)) for _ in range(3)]
    tickets = [batched(name).submit(QUESTION, one) for one in params]
    answers = [text_of(wait(ticket)) for ticket in tickets]
    for ticket in neighbours:
        wait(ticket)
    expected = [text_of(wait(plain.submit(QUESTION, one))) for one in params]
    plain.close()
    assert answers == expected


def test_a_follow_up_shares_whole_pages(batched: Callable[[str], BatchedEngine]) -> None:
    engine = batched("minicpm-v-2_6")
    case = next(case for case in plain_cases() if str(case).endswith("pub_single_large"))
    messages = messages_of(case)
    first = wait(engine.submit(messages, GREEDY))
    follow_up = [*messages, Message.of("assistant", text_of(first)), Message.of("user", "And then?")]
    second = usage_of(wait(engine.submit(follow_up, GREEDY)))
    assert second.cached_tokens >= usage_of(first).prompt_tokens - 16
    assert second.cached_slices == len(case.expected["slices"])


def test_cancelled_requests_leave_the_batch_and_free_their_pictures(batched: Callable[[str], BatchedEngine]) -> None:
    engine = batched("minicpm-v-2_6")
    case = next(case for case in plain_cases() if str(case).endswith("pub_single_large"))
    long = replace(GREEDY, max_new_tokens=2000, min_new_tokens=2000)
    tickets = [engine.submit(messages_of(case), long) for _ in range(4)]
    for ticket in tickets:
        begun = any(getattr(event, "text", "") for _ in range(120) for event in drain(ticket, 0.5))
        assert begun
        ticket.cancel()
    wait(engine.submit(QUESTION, GREEDY))
    deadline = 200
    while (engine._batch.requests or engine._table.used) and deadline:
        deadline -= 1
        drain(tickets[0], 0.02)
    assert not engine._batch.requests and engine._table.used == engine._table.held_bytes == 0


def test_one_that_cannot_be_answered_harms_no_other(batched: Callable[[str], BatchedEngine], tmp_path: Path) -> None:
    engine = batched("minicpm-v-2_6")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    before = engine.submit(QUESTION, GREEDY)
    broken = engine.submit([Message.of("user", Image(tmp_path / "broken.png"), "What?")], GREEDY)
    after = engine.submit(QUESTION, GREEDY)
    with pytest.raises(ImageError):
        wait(broken)
    assert text_of(wait(before)) == text_of(wait(after)) != ""


def test_closing_ends_what_runs_and_gives_the_model_back() -> None:
    member = loaded_model("minicpm-v-2_6")
    own = member.model.llm.get_input_embeddings()
    engine = BatchedEngine(replace(member), cache_bytes=16 * 1024**2)
    assert member.model.llm.get_input_embeddings() is not own
    engine.submit(QUESTION, replace(GREEDY, max_new_tokens=2000, min_new_tokens=2000))
    engine.close()
    assert member.model.llm.get_input_embeddings() is own


def test_a_refused_request_leaves_no_picture_behind(
    batched: Callable[[str], BatchedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = batched("minicpm-v-2_6")
    case = next(case for case in plain_cases() if str(case).endswith("pub_single_large"))
    monkeypatch.setattr(engine._manager, "add_request", lambda *args, **kwargs: None)
    with pytest.raises(GenerationError, match="has ended"):
        wait(engine.submit(messages_of(case), GREEDY))
    assert engine._table.used == engine._table.held_bytes == 0


def crashing(monkeypatch: pytest.MonkeyPatch, engine: BatchedEngine, when: Callable[[int], bool]) -> list[int]:
    """Let the steps fail for lack of memory for which `when`, given how many there were, is true; gives that number."""
    original, steps = engine._decoder.forward, [0]

    def forward(*arguments: Any, **options: Any) -> Any:
        steps[0] += 1
        if when(steps[0]):
            raise torch.OutOfMemoryError("out of memory")
        return original(*arguments, **options)

    monkeypatch.setattr(engine._decoder, "forward", forward)
    return steps


def test_answers_go_on_where_memory_ran_out_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "minicpm-v-2_6"
    engine = BatchedEngine(replace(loaded_model(name)), cache_bytes=64 * 1024**2)
    cases = golden(name)[:4]
    steps = crashing(monkeypatch, engine, lambda step: step == 8)
    crowd = [(case, expected, engine.submit(messages, GREEDY)) for case, messages, expected in cases]
    for case, expected, ticket in crowd:
        assert text_of(wait(ticket)) == expected, case
    assert steps[0] > 8 and engine._cache_bytes == 24 * 1024**2, "there is less room, so that less is done at once"
    assert not engine._table.used and not engine._table.held_bytes
    later, messages, expected = cases[0]
    assert text_of(wait(engine.submit(messages, GREEDY))) == expected, later
    engine.close()


def test_what_never_gets_through_fails_alone_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = BatchedEngine(replace(loaded_model("minicpm-v-2_6")), cache_bytes=64 * 1024**2)
    broken = [True]
    crashing(monkeypatch, engine, lambda step: broken[0])
    with pytest.raises(OutOfMemoryError, match="fewer images or frames"):
        wait(engine.submit(QUESTION, GREEDY))
    broken[0] = False
    assert text_of(wait(engine.submit(QUESTION, GREEDY)))
    engine.close()


@pytest.mark.parametrize(("limit", "users"), [("MOST_OF_ONE", "aaaaa"), ("MOST_OF_SHARERS", "12345")])
def test_one_user_and_those_who_share_leave_room_for_another(
    limit: str, users: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, limit, 2)
    engine = BatchedEngine(replace(loaded_model("minicpm-v-2_6")), cache_bytes=64 * 1024**2)
    long = replace(GREEDY, max_new_tokens=400, min_new_tokens=400)
    many = [engine.submit(QUESTION, long, f"a/{user}") for user in users]
    other = engine.submit(QUESTION, GREEDY, "b")
    assert text_of(wait(other))
    running = [one.ticket.sharer for one in engine._batch.requests.values()]
    assert running.count("a") <= 2 and any(engine.place(ticket) for ticket in many), (
        "the others of the first still wait"
    )
    for ticket in many:
        engine.cancel(ticket)
    engine.close()
