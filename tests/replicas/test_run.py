"""A Ray that does not come up."""

from __future__ import annotations

from typing import Any

import pytest

from app.replicas import run
from app.replicas.__main__ import main


def test_a_ray_that_does_not_start_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def late(**settings: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(run.ray, "init", late)
    monkeypatch.setattr(run, "check_port", lambda host, port: None)
    assert main("--model m --device cpu".split()) == 1
    said = capsys.readouterr().err
    assert "timed out during startup" in said and "less busy" in said and "Traceback" not in said
