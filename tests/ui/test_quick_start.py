from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPONENT = """
import gradio as gr

class Mine(gr.Textbox):
    pass
"""


@pytest.mark.parametrize("skipped", [True, False])
def test_no_stub_is_written_beside_a_component(skipped: bool, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(COMPONENT)
    code = "from app.ui.quick_start import skip_stubs; skip_stubs(); " * skipped + "import mine; mine.Mine()"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}, check=True)
    assert (tmp_path / "mine.pyi").exists() is not skipped
