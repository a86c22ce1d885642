"""What the tests of the benchmarks share: a benchmark run through its command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.__main__ import main

Measure = Callable[..., dict[str, Any]]


@pytest.fixture
def measure(capsys: pytest.CaptureFixture[str]) -> Measure:
    """Run a benchmark through its command line; the JSON of its last line."""

    def run(name: str, *flags: str) -> dict[str, Any]:
        assert main([name, "--json", "--device", "cpu", "--dtype", "fp32", *flags]) == 0
        result: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
        assert set(result) == {"cases", "machine"}
        assert result["machine"]["device"] == "cpu" and result["machine"]["cores"] >= 1
        cases: dict[str, Any] = result["cases"]
        return cases

    return run
