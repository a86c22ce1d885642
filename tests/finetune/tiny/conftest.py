"""What the tests of the generator and of the training share: things to draw with that need no download, and a model
of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from random import Random

import matplotlib
import numpy as np
import pytest
from tokenizers import Tokenizer

from finetune.tiny import embedded, language, shape, tokens
from finetune.tiny.icons import SIZE
from finetune.tiny.packed import Supplies

WORDS = ("dog", "owl", "car", "scissors", "fish", "star")
LINES = (
    "Return the number of items in a container.",
    "Open a file and read it line by line.",
    "A set of pairs, each with a key and a value.",
    "Close the socket when the peer has gone away.",
)


def sprite(seed: int) -> np.ndarray:
    """RGBA, (96, 96, 4): a rectangle of one random colour on nothing."""
    rng = np.random.default_rng(seed)
    drawing = np.zeros((SIZE, SIZE, 4), np.uint8)
    left, top, right, bottom = rng.integers((4, 4, 60, 60), (30, 30, 92, 92))
    drawing[top:bottom, left:right] = (*rng.integers(0, 256, 3), 255)
    return drawing


def make_supplies() -> Supplies:
    """Six things in each of two styles, two fonts, four printed lines."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return Supplies(
        fonts=[str(fonts / "DejaVuSans.ttf"), str(fonts / "DejaVuSerif-Bold.ttf")],
        sprites={
            style: {word: sprite(10 * index + number) for number, word in enumerate(WORDS)}
            for index, style in enumerate(("flat", "round"))
        },
        words=list(WORDS),
        lines=list(LINES),
    )


@pytest.fixture(scope="session")
def supplies() -> Supplies:
    return make_supplies()


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Learned from what is said to questions outside the list."""
    rng = Random(0)
    texts = [text for _ in range(400) for pair in (language.outside(rng), language.small_talk(rng)) for text in pair]
    return tokens.train([f"assistant\nuser\n{text}" for text in texts], 460)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models made in this test have one narrow layer in each part."""
    tower = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1}
    for name, value in tower.items():
        monkeypatch.setitem(shape.VISION, name, value)
    llm = {"hidden_size": 128, "intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1}
    for name, value in {**llm, "num_hidden_layers": 1}.items():
        monkeypatch.setitem(embedded.LANGUAGE, name, value)
