"""How many replicas there are, what each takes, and which requests go where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.errors import SettingsError
from app.settings import Settings
from app.texts import Phrase, listed

ROUTINGS = ("conversation", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is deployed.

    Attributes:
        settings: of each replica.
        replicas: their number, where it is fixed.
        min_replicas, max_replicas: their number, where it follows the load; both None if it is fixed.
        target_ongoing_requests: requests per replica, running and waiting, that the load is kept at.
        max_ongoing_requests: requests that a replica takes at once; more wait at the ingress.
        max_queued_requests: requests that wait at each ingress; more are refused with 429.
        gpus_per_replica, cpus_per_replica: of each replica; a part of a GPU is shared.
        ingress_replicas: processes that take requests and hand them on.
        drain_timeout: seconds that answers have to end when their replica is replaced.
        routing: one of `ROUTINGS`.
        address: of the Ray cluster to deploy into; empty starts one of this machine's own.

    Raises:
        SettingsError: a value cannot be used; names the flag, what was got and what is allowed.
    """

    settings: Settings
    replicas: int = 1
    min_replicas: int | None = None
    max_replicas: int | None = None
    target_ongoing_requests: float = 16
    max_ongoing_requests: int = 64
    max_queued_requests: int = 256
    gpus_per_replica: float = 0
    cpus_per_replica: float = 1
    ingress_replicas: int = 1
    drain_timeout: float = 600
    routing: str = "conversation"
    address: str = ""

    def __post_init__(self) -> None:
        if self.settings.backend == "openai":
            raise SettingsError(
                Phrase("replicas_backend"),
                Phrase("do_page_in_front"),
            )
        if (self.min_replicas is None) != (self.max_replicas is None):
            raise SettingsError(Phrase("replicas_one"), Phrase("do_both_or_replicas"))
        for flag in (
            "replicas",
            "min_replicas",
            "max_replicas",
            "max_ongoing_requests",
            "max_queued_requests",
            "ingress_replicas",
        ):
            value = getattr(self, flag)
            _require(value is None or value >= 1, flag, value, Phrase("allow_one"))
        if self.min_replicas is not None and self.max_replicas is not None:
            _require(self.max_replicas >= self.min_replicas, "max_replicas", self.max_replicas,
                     Phrase("allow_min_replicas", least=self.min_replicas))  # fmt: skip
        _require(
            self.target_ongoing_requests > 0,
            "target_ongoing_requests",
            self.target_ongoing_requests,
            Phrase("allow_above_0"),
        )
        _require(self.gpus_per_replica >= 0, "gpus_per_replica", self.gpus_per_replica, Phrase("allow_0"))
        _require(
            self.gpus_per_replica <= 1 or self.gpus_per_replica % 1 == 0,
            "gpus_per_replica",
            self.gpus_per_replica,
            Phrase("allow_gpus"),
        )
        _require(self.cpus_per_replica > 0, "cpus_per_replica", self.cpus_per_replica, Phrase("allow_above_0"))
        _require(self.drain_timeout >= 0, "drain_timeout", self.drain_timeout, Phrase("allow_0_seconds"))
        _require(self.routing in ROUTINGS, "routing", self.routing, listed(ROUTINGS, "list_or"))

    @property
    def most_replicas(self) -> int:
        """That may run at once."""
        return self.max_replicas or self.replicas


def _require(fine: bool, flag: str, got: Any, allowed: str) -> None:
    if not fine:
        raise SettingsError(Phrase("flag_value", flag=flag.replace("_", "-"), got=got, allowed=allowed))
