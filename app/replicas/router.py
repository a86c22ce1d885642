"""The ranks of `app.replicas.routing` as Ray Serve's request router."""

from __future__ import annotations

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from app.replicas.routing import ranked


class ConversationRouter(RequestRouter):
    """Sends a conversation home; elsewhere if that replica is full, has far more to do than another, or is gone.

    The conversation's key is the request's `session_id`.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Ranks of replicas; Ray asks the next rank where all of one are full, and again after a while."""
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        by_name = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        loads = {name: self.replica_queue_len_cache.get(replica.replica_id) for name, replica in by_name.items()}
        ranks = ranked(pending_request.metadata.session_id, loads)
        return [[by_name[name] for name in rank] for rank in ranks]
