"""The ranks of `app.replicas.routing` as Ray Serve's request router."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from app.replicas.routing import parted, ranked, unknown


class PatientRouter(RequestRouter):
    """One that gives replicas time to say how much they have to do: one that computes may take a while.

    A conversation's key, and which replicas it is not to go to, are the request's `session_id`.
    """

    queue_len_response_deadline_s = 1.0

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Ranks of replicas; Ray asks the next rank where all of one are full, and again after a while."""
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        return await self._ranks(candidate_replicas, *parted(pending_request.metadata.session_id))

    @abstractmethod
    async def _ranks(
        self, candidates: list[RunningReplica], conversation: str, avoided: frozenset[str]
    ) -> list[list[RunningReplica]]:
        """The groups of replicas to try, one after the other."""


class ConversationRouter(PatientRouter):
    """Sends a conversation home; elsewhere if that replica is full, has far more to do than another, or is gone."""

    async def _ranks(
        self, candidates: list[RunningReplica], conversation: str, avoided: frozenset[str]
    ) -> list[list[RunningReplica]]:
        by_name = {replica.replica_id.unique_id: replica for replica in candidates}
        loads = self._loads(by_name)
        asked: set[str] = set()
        while names := [name for name in unknown(conversation, loads, avoided) if name not in asked]:
            await self._probe_queue_lens([by_name[name] for name in names], 0)
            asked.update(names)
            loads = self._loads(by_name)
        silent = {name for name in asked if loads[name] is None}
        return [[by_name[name] for name in rank] for rank in ranked(conversation, loads, avoided | silent)]

    def _loads(self, by_name: Mapping[str, RunningReplica]) -> dict[str, int | None]:
        """What is known; Ray forgets a number after 10 seconds without news of it."""
        return {name: self.replica_queue_len_cache.get(replica.replica_id) for name, replica in by_name.items()}


class RandomRouter(PatientRouter):
    """Sends each request to the less busy of two replicas that are drawn."""

    async def _ranks(
        self, candidates: list[RunningReplica], conversation: str, avoided: frozenset[str]
    ) -> list[list[RunningReplica]]:
        others = [replica for replica in candidates if replica.replica_id.unique_id not in avoided]
        drawn = others or candidates
        return [random.sample(drawn, min(2, len(drawn)))]
