"""What happens on this server, in numbers, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from app.messages import Usage

CONTENT_TYPE = CONTENT_TYPE_LATEST
FIRST_TOKEN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)  # seconds
EACH_TOKEN = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # seconds


class Metrics:
    """All numbers of one server. `source` is "page" or "api"; nothing tells who asked or what."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        source = ["source"]
        self.replies = Counter("minicpmv_http_replies", "Replies of the API.", ["path", "status"], registry=registry)
        self.answers = Counter(
            "minicpmv_answers",
            "Answers by their end: stop, length, cancelled or error.",
            ["source", "end"],
            registry=registry,
        )
        self.running = Gauge("minicpmv_answers_running", "Answers being written now.", source, registry=registry)
        self.waiting = Gauge("minicpmv_answers_waiting", "Answers that wait in the queue.", source, registry=registry)
        self.prompt_tokens = Counter("minicpmv_prompt_tokens", "Tokens of prompts.", source, registry=registry)
        self.vision_tokens = Counter(
            "minicpmv_vision_tokens", "Tokens of prompts that are features of pictures.", source, registry=registry
        )
        self.cached_tokens = Counter(
            "minicpmv_cached_tokens", "Tokens of prompts that were not computed again.", source, registry=registry
        )
        self.cached_slices = Counter(
            "minicpmv_cached_slices", "Slices of pictures that were not encoded again.", source, registry=registry
        )
        self.new_tokens = Counter("minicpmv_new_tokens", "Tokens of answers.", source, registry=registry)
        self.first_token = Histogram(
            "minicpmv_time_to_first_token_seconds",
            "From the request to the first token.",
            source,
            registry=registry,
            buckets=FIRST_TOKEN,
        )
        self.each_token = Histogram(
            "minicpmv_time_per_token_seconds",
            "From one token to the next, on average over an answer.",
            source,
            registry=registry,
            buckets=EACH_TOKEN,
        )

    def count(self, source: str, usage: Usage) -> None:
        """What one answer cost."""
        self.prompt_tokens.labels(source).inc(usage.prompt_tokens)
        self.vision_tokens.labels(source).inc(usage.vision_tokens or 0)
        self.cached_tokens.labels(source).inc(usage.cached_tokens)
        self.cached_slices.labels(source).inc(usage.cached_slices)
        self.new_tokens.labels(source).inc(usage.new_tokens)
        if usage.ttft is not None:
            self.first_token.labels(source).observe(usage.ttft)
        if usage.tokens_per_second:
            self.each_token.labels(source).observe(1 / usage.tokens_per_second)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self._registry)
