"""What the tests of fine-tuning share: tiny models, and data files made on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.engine.loader import runner_class
from app.families.base import Family
from app.modeling.runner import Runner
from finetune.encoding import Encoder
from tests.checkpoints import family_of
from tests.modeling.golden import load

# Families that can be trained in any case.
MUST = ("minicpm-v-2_6", "minicpm-llama3-v-2_5", "minicpm-v-2")


@dataclass(frozen=True)
class Tiny:
    """A tiny golden checkpoint, loaded."""

    name: str
    model: Any
    tokenizer: Any
    processor: Any
    family: Family

    @property
    def runner(self) -> Runner:
        """The model as inference uses it."""
        return runner_class(self.family)(self.model, self.processor, self.family)

    def encoder(self, **options: Any) -> Encoder:
        """An encoder whose limit is out of the way unless it is given."""
        return Encoder(self.processor, self.family, **({"max_length": 8192} | options))


@cache
def tiny(name: str) -> Tiny:
    model, tokenizer, processor = load(name)
    return Tiny(name, model, tokenizer, processor, family_of(name))


@pytest.fixture(params=MUST)
def member(request: pytest.FixtureRequest) -> Tiny:
    """Each family that must be trainable."""
    return tiny(request.param)


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., str]:
    """Write a picture of noise and return its name, relative to the data file."""

    def make(name: str = "a.png", size: tuple[int, int] = (90, 60), seed: int = 0) -> str:
        pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
        return name

    return make


@pytest.fixture
def write_data(tmp_path: Path) -> Callable[..., Path]:
    """Write a data file: a JSON list, or JSON Lines by its name."""

    def make(*entries: Any, name: str = "data.json") -> Path:
        path = tmp_path / name
        lines = name.endswith(".jsonl")
        path.write_text("\n".join(map(json.dumps, entries)) if lines else json.dumps(entries, indent=1), "utf-8")
        return path

    return make


def talk(*texts: str, **beside: Any) -> dict[str, Any]:
    """An entry of the official form: questions and answers in turn."""
    roles = ("user", "assistant")
    turns = [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]
    return {"id": "0", **beside, "conversations": turns}
