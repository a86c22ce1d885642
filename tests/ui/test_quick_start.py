from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys
from pathlib import Path

import gradio
import pytest

from app.ui.quick_start import no_collection, no_stubs

ROOT = Path(__file__).parents[2]
COMPONENT = """
import gradio as gr

class Mine(gr.Textbox):
    pass
"""


@pytest.mark.parametrize("skipped", [True, False])
def test_no_stub_is_written_beside_a_component(skipped: bool, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(COMPONENT)
    code = "import mine; mine.Mine()"
    if skipped:
        code = f"from app.ui.quick_start import no_stubs\nwith no_stubs(): {code}"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}, check=True)
    assert (tmp_path / "mine.pyi").exists() is not skipped


def test_files_of_classes_are_found_again_whatever_happens() -> None:
    getfile = inspect.getfile
    with pytest.raises(ZeroDivisionError), no_stubs():
        assert inspect.getfile(Path) == getfile(Path)
        with pytest.raises(OSError, match="no stub"):
            inspect.getfile(gradio.Textbox)
        1 / 0  # noqa: B018
    assert inspect.getfile is getfile
    assert inspect.getfile(gradio.Textbox).endswith("textbox.py")


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
