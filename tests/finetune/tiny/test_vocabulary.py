"""The tokenizer of a run: made once, of what is asked and answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune.tiny import vocabulary
from finetune.tiny.packed import Supplies


def test_the_tokenizer_of_a_run_is_made_once(
    supplies: Supplies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "TOLD", 150)
    monkeypatch.setattr(vocabulary, "SIZE", 500)
    path = tmp_path / "tokenizer.json"
    made = vocabulary.tokenizer_for(supplies, path)
    assert 500 < made.get_vocab_size() <= 560, "the names of six things come on top"
    for word in ("猫头鹰", "狗", " scissors", " owl"):
        assert len(made.encode(word).ids) == 1
    assert len(made.encode("What colour is the circle?").ids) < 14
    monkeypatch.setattr(vocabulary, "SIZE", 400)
    assert vocabulary.tokenizer_for(supplies, path).to_str() == made.to_str()


def test_names_are_those_of_the_things_in_both_languages() -> None:
    words = vocabulary.names(["owl", "full moon"])
    assert list(words) == [" owl", " full", " moon", *"猫头鹰满月", "猫头鹰", "满月"]
    assert words["满月"] == words["满"] == " full moon" and words[" moon"] == " moon"
