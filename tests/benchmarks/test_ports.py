from __future__ import annotations

import socket
from pathlib import Path

import pytest

from benchmarks import ports
from benchmarks.ports import free_port


def test_it_is_none_that_the_system_gives_to_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = tmp_path / "range"
    given.write_text("20000\t60999\n")
    monkeypatch.setattr(ports, "RANGE", given)
    seen = {free_port() for _ in range(300)}
    assert len(seen) > 250, "one of its own for whoever asks"
    assert min(seen) >= 10_000 and max(seen) < 20_000
    monkeypatch.setattr(ports, "RANGE", tmp_path / "none")
    assert 10_000 <= free_port() < 32_768


def test_one_that_is_listened_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]

        def draw(_: int) -> int:
            drawn.append(port if not drawn else port + 1)
            return drawn[-1] - ports.LOWEST

        monkeypatch.setattr("benchmarks.ports.secrets.randbelow", draw)
        assert free_port() == port + 1
    assert drawn == [port, port + 1]
