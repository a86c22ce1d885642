"""How long the checkpoint takes to load, to its first token and to the end of an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from finetune.tiny.case import Case


class Asks(Protocol):
    """What answers one question: `Examinee`."""

    def answer(self, case: Case, most: int | None = None) -> str:
        """Its answer, of `most` tokens at most; of as many as the case allows if None."""
        ...


def measure(load: Callable[[Path], Asks], folder: Path, cases: Sequence[Case]) -> dict[str, Any]:
    """Seconds to load, and medians over the cases, each asked alone, of those to one token and to the whole answer.

    Args:
        load: makes what answers of a checkpoint's folder; its libraries should have been loaded before.
        cases: at least two; the first one warms up.
    """
    started = time.perf_counter()
    examinee = load(folder)
    seconds = time.perf_counter() - started
    examinee.answer(cases[0])
    first = [_timed(examinee, case, 1) for case in cases[1:]]
    whole = [_timed(examinee, case, None) for case in cases[1:]]
    rounded = {"load": seconds, "first_token": median(first), "answer": median(whole)}
    return {name: round(value, 3) for name, value in rounded.items()} | {"pictures": len(cases) - 1}


def _timed(examinee: Asks, case: Case, most: int | None) -> float:
    started = time.perf_counter()
    examinee.answer(case, most)
    return time.perf_counter() - started
