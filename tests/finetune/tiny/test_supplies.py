"""What is drawn with: the training styles only, in the order of the list, and English lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.tiny import supplies
from finetune.tiny.icons import HELD_OUT_SETS, SIZE, TRAINING_STYLES, things


def test_styles_for_measuring_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = np.zeros((SIZE, SIZE, 4), np.uint8)
    drawings: dict[str, Any] = {f"{style}/fox": drawing for style in (*TRAINING_STYLES, *supplies.HELD_OUT)}
    np.savez(tmp_path / "icons.npz", **drawings)
    monkeypatch.setattr(supplies.fonts, "training_fonts", lambda cache: [cache / "one.ttf"])
    monkeypatch.setattr(supplies, "printed", lambda: ["a line"])
    monkeypatch.setattr(supplies.photographs, "load", lambda cache: [drawing])
    gathered = supplies.gather(tmp_path)
    assert tuple(gathered.sprites) == TRAINING_STYLES and list(gathered.sprites["noto"]) == ["fox"]
    assert gathered.fonts == [str(tmp_path / "one.ttf")] and gathered.lines == ["a line"]
    assert gathered.photographs == [drawing]
    assert gathered.words == [thing.word for thing in things()]
    assert set(supplies.HELD_OUT) == {style.name for style in HELD_OUT_SETS}


def test_lines_are_docstrings_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.py").write_text('"""Two words.\n\nThis is the second module\'s line.\n"""\n', "utf-8")
    (tmp_path / "a.py").write_text(
        'class A:\n    """A line of four.\n\n    Une ligne très accentuée ici.\n    """\n'
        '    def f(self):\n        """What this method does there."""\n        "no docstring but a text"\n', "utf-8",
    )  # fmt: skip
    monkeypatch.setattr(supplies.sysconfig, "get_path", lambda name: str(tmp_path))
    lines = ["A line of four.", "What this method does there.", "This is the second module's line."]
    assert supplies.printed() == lines
    assert supplies.printed(limit=1) == lines[:1]
