"""Parameters of tests of which `make test` runs some, and `make test-thorough` the others, which go the same way."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def briefly(chosen: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """The values as parameters, marked as thorough but for those that are chosen; a tuple is several parameters.

    Raises:
        ValueError: one that is chosen is no value.
    """
    values = list(values)
    if unknown := [one for one in chosen if one not in values]:
        raise ValueError(f"Chosen, but no parameter: {unknown}.")
    return [one if one in chosen else _thorough(one) for one in values]


def _thorough(value: Any) -> Any:
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.thorough)
