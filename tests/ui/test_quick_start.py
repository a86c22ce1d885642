from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.ui.quick_start import no_collection

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


def test_garbage_is_looked_for_again_whatever_happens() -> None:
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), no_collection():
        assert not gc.isenabled()
        1 / 0  # noqa: B018
    assert gc.isenabled()


def test_it_stays_off_where_it_was_off() -> None:
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
