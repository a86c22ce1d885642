"""What makes the page's libraries load faster."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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


@contextmanager
def no_stubs() -> Iterator[None]:
    """Within this Gradio, loaded here with what builds on it, writes no stub for type checkers beside a component.

    For that it parses the source of each of some 270 classes, which takes a third of its own import and nearly all of
    that of the components' library. It passes over a class that comes from no file, which is what it hears of all.
    """
    getfile = inspect.getfile

    def asked(thing: Any) -> str:
        if type(thing).__name__ == "ComponentMeta":
            raise OSError("no stub is wanted")
        return getfile(thing)

    inspect.getfile = asked  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = getfile
