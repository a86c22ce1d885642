"""The optimizer for processors without bfloat16 moves as PyTorch's does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from finetune.tiny.muon import PlainMuon, orthogonal
from finetune.tiny.optimizers import Optimizers

FLAGS: dict[str, Any] = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.02, "adjust_lr_fn": "original"}


@pytest.mark.parametrize("shape", [(12, 12), (8, 24), (24, 8)])
@pytest.mark.parametrize("nesterov", [True, False])
def test_it_moves_as_the_librarys(shape: tuple[int, int], nesterov: bool) -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(4, *shape)
    moved = []
    for kind in (torch.optim.Muon, PlainMuon):
        parameter = nn.Parameter(start.clone())
        optimizer = kind([parameter], nesterov=nesterov, **FLAGS)
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
        moved.append(parameter.detach() - start)
        if kind is torch.optim.Muon:
            state = optimizer.state_dict()
    assert (moved[0] - moved[1]).norm() < 0.03 * moved[0].norm()  # the library's rounds to bfloat16
    optimizer.load_state_dict(state)  # a run may go on on another machine
    optimizer.step()


def test_what_has_no_gradient_stays() -> None:
    moving, resting = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4, 4))
    optimizer = PlainMuon([moving, resting], **FLAGS)
    assert optimizer.step(lambda: moving.square().sum()) == 16  # type: ignore[arg-type, return-value]
    moving.grad = torch.randn(4, 4)
    optimizer.step()
    assert torch.equal(resting, torch.ones(4, 4)) and not torch.equal(moving, torch.ones(4, 4))


def test_singular_values_come_near_one() -> None:
    torch.manual_seed(1)
    matrix = torch.randn(16, 40)
    values = torch.linalg.svdvals(orthogonal(matrix, (3.4445, -4.775, 2.0315), 5, 1e-7))
    assert values.min() > 0.5 and values.max() < 1.5


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_it_is_taken_where_bfloat16_is_emulated(monkeypatch: pytest.MonkeyPatch, precision: torch.dtype) -> None:
    monkeypatch.setattr("finetune.tiny.optimizers.low", lambda: precision)
    model = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(6, 6)])})
    optimizers = Optimizers([(f"m.{name}", parameter) for name, parameter in model.named_parameters()])
    assert [type(part) for part in optimizers.parts] == [
        torch.optim.AdamW, torch.optim.Muon if precision is torch.bfloat16 else PlainMuon
    ]  # fmt: skip
