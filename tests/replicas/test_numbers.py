from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from app.api.metrics import Metrics
from app.messages import Usage
from app.replicas.numbers import Numbers, joined


def replica(name: str, tokens: int) -> Numbers:
    metrics = Metrics()
    metrics.count("api", Usage(10, 0, 4, tokens, 0.03, 50.0))
    metrics.answers.labels("api", "stop").inc()
    return Numbers(name, 4000 + tokens, metrics.text())


def test_each_number_tells_its_replica() -> None:
    text = joined([replica("a1", 3), replica("b2", 5)]).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["minicpmv_new_tokens"].samples
    assert {s.labels["replica"]: s.value for s in samples if s.name.endswith("_total")} == {"a1": 3, "b2": 5}
    buckets = [s for s in families["minicpmv_time_to_first_token_seconds"].samples if s.labels.get("le") == "+Inf"]
    assert {s.labels["replica"] for s in buckets} == {"a1", "b2"} and all(s.value == 1 for s in buckets)
    assert text.count("# TYPE minicpmv_new_tokens_total ") == 1
    assert {s.labels["pid"] for s in families["minicpmv_replica"].samples} == {"4003", "4005"}


def test_no_replica_is_an_empty_list() -> None:
    assert b"minicpmv_replica" in joined([])
