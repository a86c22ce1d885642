"""What makes the page's libraries load faster."""

from __future__ import annotations


def skip_stubs() -> None:
    """Keep Gradio from writing a stub for type checkers beside each component; call it before `app.ui.demo` loads.

    For that it parses the source of each of some 200 classes, which takes longer than all else that they do.
    """
    import gradio.component_meta

    gradio.component_meta.create_or_modify_pyi = lambda *_: None
