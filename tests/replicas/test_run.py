"""A Ray that does not come up, or has something against it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import AuthenticationError, RayTaskError
from ray.serve.exceptions import RayServeException

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


DEPLOY = "--model m --device cpu --address auto".split()


@pytest.fixture
def ray_there(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Ray cluster whose Serve listens where it did before."""
    monkeypatch.setattr(run.ray, "init", lambda **settings: None)
    monkeypatch.setattr(run.ray, "shutdown", lambda: None)
    monkeypatch.setattr(run.serve, "start", lambda **settings: None)
    monkeypatch.setattr(run.serve, "run_many", lambda targets, **settings: None)
    listens = SimpleNamespace(host="0.0.0.0", port=9000)
    monkeypatch.setattr(run, "_get_global_client", lambda: SimpleNamespace(http_config=listens))
    return listens


def test_a_cluster_that_asks_for_a_token_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**settings: Any) -> None:
        raise AuthenticationError("Token authentication is enabled but no authentication token was found")

    monkeypatch.setattr(run.ray, "init", refuse)
    assert main(DEPLOY) == 1
    said = capsys.readouterr().err
    assert "auth_token" in said and "Traceback" not in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("step", ["start", "run_many"])
def test_what_serve_has_against_it_is_told_without_a_traceback(
    step: str, ray_there: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*targets: Any, **settings: Any) -> None:
        cause = RayServeException('Prefix / is being used by application "other". Failed to deploy "minicpm-v".')
        raise RayTaskError("deploy", "Traceback (most recent call last): ...", cause).as_instanceof_cause()

    monkeypatch.setattr(run.serve, step, refuse)
    assert main(DEPLOY) == 1
    said = capsys.readouterr().err
    assert 'used by application "other"' in said and "serve status" in said
    assert "Traceback" not in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(("flags", "kept"), [([], True), (["--host", "0.0.0.0", "--port", "9000"], False)])
def test_a_serve_that_ran_before_is_named_where_it_listens(
    flags: list[str], kept: bool, ray_there: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*DEPLOY, *flags]) == 0
    said = capsys.readouterr().out
    assert "http://0.0.0.0:9000/v1" in said and ("no effect" in said) == kept
