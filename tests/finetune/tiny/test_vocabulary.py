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
    assert 300 < made.get_vocab_size() <= 500
    assert len(made.encode("What colour is the circle?").ids) < 14
    monkeypatch.setattr(vocabulary, "SIZE", 400)
    assert vocabulary.tokenizer_for(supplies, path).to_str() == made.to_str()
