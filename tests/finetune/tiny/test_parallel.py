"""Two processes that train as one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from benchmarks.ports import free_port
from finetune.tiny.parallel import Team, join


def work(rank: int, port: int, folder: str) -> None:
    """One of two processes: start from the first one's values, average gradients, write down both."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    team = join(2)
    weights = [torch.nn.Parameter(torch.full((2, 2), float(rank))), torch.nn.Parameter(torch.full((3,), 5.0 + rank))]
    unused = torch.nn.Parameter(torch.full((1,), 7.0))
    team.agree([*weights, unused])
    weights[0].grad = torch.full((2, 2), 1.0 + rank)
    weights[1].grad = torch.arange(3.0) * (1 - rank)
    team.average([*weights, unused])
    seen = {"team": (team.rank, team.size, team.first), "values": [p.data for p in weights],
            "gradients": [p.grad for p in (*weights, unused)], "threads": torch.get_num_threads()}  # fmt: skip
    torch.save(seen, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_start_alike_and_average(tmp_path: Path) -> None:
    port = free_port()
    multiprocessing.spawn(work, (port, str(tmp_path)), nprocs=2)
    seen = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert [one["team"] for one in seen] == [(0, 2, True), (1, 2, False)]
    for one in seen:
        assert one["threads"] == 1
        assert one["values"][0].eq(0).all() and one["values"][1].eq(5).all()
        assert one["gradients"][0].eq(1.5).all()
        # What has no gradient is left alone: an optimizer would move it by its momentum.
        assert one["gradients"][1].tolist() == [0, 0.5, 1] and one["gradients"][2] is None


def test_alone_there_is_nothing_to_average(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    before = torch.get_num_threads()
    team = join(before)
    assert team == Team(0, 1) and team.first and torch.get_num_threads() == before
    weight = torch.nn.Parameter(torch.ones(2))
    team.agree([weight])
    team.average([weight])
    assert weight.grad is None
