"""Media stay apart from the model and the page."""

from __future__ import annotations

import subprocess
import sys


def test_media_need_neither_torch_nor_gradio() -> None:
    modules = "images kind patches slicing video video_decord video_pyav".split()
    code = f"import sys; {'; '.join(f'import app.media.{name}' for name in modules)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "app.media.video_pyav" in loaded
    assert not {"torch", "gradio", "transformers", "decord"} & set(loaded)
