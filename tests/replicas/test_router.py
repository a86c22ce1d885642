"""Ray's own request router with our ranks, its replicas made up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve._private.common import DeploymentHandleSource, DeploymentID
from ray.serve.request_router import ReplicaID

from app.replicas.router import ConversationRouter, RandomRouter
from app.replicas.routing import SLACK, ranked, session_of
from tests.waiting import awaited

MODEL = DeploymentID(name="model")
NAMES = ("a1", "b2", "c3")
HOME = ranked("talk", dict.fromkeys(NAMES, 0))[0][0]
OTHERS = [name for name in NAMES if name != HOME]


class Replica:
    """One that says how much it has to do, or does not."""

    max_ongoing_requests = 64

    def __init__(self, name: str, load: int | None) -> None:
        self.replica_id = ReplicaID(unique_id=name, deployment_id=MODEL)
        self._load = load
        self.asked = 0

    async def get_queue_len(self, *, deadline_s: float) -> int:
        self.asked += 1
        if self._load is None:
            await asyncio.sleep(60)
        return self._load or 0


def routed(
    loads: dict[str, int | None],
    known: dict[str, int],
    session: str = "talk",
    kind: type[Any] = ConversationRouter,
) -> tuple[list[list[str]], dict[str, int]]:
    """The ranks, and how often each replica was asked.

    Args:
        loads: of the replicas; None does not answer.
        known: those of which Ray knows it.
    """
    replicas = {name: Replica(name, load) for name, load in loads.items()}

    async def run() -> list[list[str]]:
        router = kind(MODEL, DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True)
        router.queue_len_response_deadline_s = router.max_queue_len_response_deadline_s = 0.2
        for name, load in known.items():
            router.replica_queue_len_cache.update(replicas[name].replica_id, load)
        metadata = SimpleNamespace(session_id=session)
        request: Any = SimpleNamespace(metadata=metadata, routing_context=SimpleNamespace(should_backoff=False))
        ranks = await router.choose_replicas(list(replicas.values()), request)
        return [[replica.replica_id.unique_id for replica in rank] for rank in ranks]

    return awaited(run()), {name: replica.asked for name, replica in replicas.items()}


def test_what_is_not_known_of_the_others_is_no_reason_to_leave_home() -> None:
    busy = dict.fromkeys(NAMES, SLACK + 3)
    ranks, asked = routed(busy, {HOME: SLACK + 3})
    assert ranks == [[HOME], OTHERS] and asked == {HOME: 0} | dict.fromkeys(OTHERS, 1)


def test_a_home_of_which_nothing_is_known_is_asked() -> None:
    loads = dict.fromkeys(NAMES, 0) | {HOME: SLACK + 1}
    ranks, asked = routed(loads, dict.fromkeys(OTHERS, 0))
    assert ranks == [OTHERS, [HOME]] and asked[HOME] == 1


def test_nobody_else_is_asked_where_home_has_little_to_do() -> None:
    ranks, asked = routed(dict.fromkeys(NAMES, 1), {})
    assert ranks == [[HOME], OTHERS] and asked == {HOME: 1} | dict.fromkeys(OTHERS, 0)


def test_a_replica_that_does_not_answer_comes_last() -> None:
    ranks, _ = routed(dict.fromkeys(NAMES, 1) | {HOME: None}, dict.fromkeys(OTHERS, 1))
    assert ranks[-1] == [HOME] and sorted(name for rank in ranks for name in rank) == sorted(NAMES)


@pytest.mark.parametrize("kind", [ConversationRouter, RandomRouter])
def test_a_replica_to_avoid_is_not_taken(kind: type[Any]) -> None:
    known = dict.fromkeys(NAMES, 9) | {HOME: 0}
    ranks, _ = routed(known, known, session_of("talk", [HOME]), kind)
    assert HOME not in ranks[0]
    alone, _ = routed({HOME: 0}, {HOME: 0}, session_of("talk", [HOME]), kind)
    assert alone == [[HOME]], "there is no other one"


def test_random_routing_draws_two() -> None:
    known = dict.fromkeys(NAMES, 0)
    drawn = [routed(known, known, "", RandomRouter)[0] for _ in range(20)]
    assert all(len(rank) == 1 and len(set(rank[0])) == 2 for rank in drawn)
