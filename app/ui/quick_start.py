"""What makes the page's libraries load faster."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Within this nothing looks for garbage.

    Gradio's import and the page's making leave 220,000 objects that all stay, and looking through them again
    and again takes a fifth of that time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def skip_stubs() -> None:
    """Keep Gradio from writing a stub for type checkers beside each component; call it before `app.ui.demo` loads.

    For that it parses the source of each of some 200 classes, which takes longer than all else that they do.
    """
    import gradio.component_meta

    gradio.component_meta.create_or_modify_pyi = lambda *_: None
