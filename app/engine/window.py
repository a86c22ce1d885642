"""Layers that look only so far back, where that keeps a batch from sharing the beginnings of prompts."""

from __future__ import annotations

from app.engine.loader import LoadedModel

SLIDING = "sliding_attention"


def shares_beginnings(loaded: LoadedModel) -> bool:
    """Whether a batch can: not where a context outgrows what some layers look back at."""
    config = loaded.runner.batched_model().config.get_text_config()
    if kinds := getattr(config, "layer_types", None):
        return SLIDING not in kinds
    window = getattr(config, "sliding_window", None)
    return not window or loaded.context <= window


def open_window(loaded: LoadedModel) -> None:
    """Have layers look at all the past where no context outgrows their window: the same numbers, and shared pages."""
    config = loaded.runner.batched_model().config.get_text_config()
    if not getattr(config, "layer_types", None) and shares_beginnings(loaded) and hasattr(config, "sliding_window"):
        config.sliding_window = None
