"""The numbers of all replicas in one text, each with the name of its replica."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one replica counted.

    Attributes:
        text: in the format of Prometheus.
    """

    replica: str
    pid: int
    text: bytes


def joined(all_numbers: Sequence[Numbers]) -> bytes:
    """One text for Prometheus: the numbers of every replica, which Prometheus can add up, and who the replicas are."""
    registry = CollectorRegistry()
    registry.register(_Joined(all_numbers))
    return generate_latest(registry)


class _Joined(Collector):
    def __init__(self, all_numbers: Sequence[Numbers]) -> None:
        self._all = all_numbers

    def collect(self) -> Iterable[Metric]:
        """Every family once."""
        families: dict[str, Metric] = {}
        replicas = Metric("minicpmv_replica", "Replicas that run, and their processes.", "gauge")
        for numbers in self._all:
            replicas.add_sample("minicpmv_replica", {"replica": numbers.replica, "pid": str(numbers.pid)}, 1)
            for found in text_string_to_metric_families(numbers.text.decode()):
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                family.samples.extend(_labelled(found, numbers.replica))
        return [replicas, *families.values()]


def _labelled(family: Metric, replica: str) -> Iterator[Sample]:
    for sample in family.samples:
        yield sample._replace(labels={**sample.labels, "replica": replica})
