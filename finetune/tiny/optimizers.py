"""Muon for the matrices, AdamW for the rest, and how fast they learn.

Muon: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from finetune.tiny.muon import PlainMuon
from finetune.tiny.precision import low

RATE = 1e-3
MUON_RATE = 20.0


def schedule(done: int, warmup: int, total: int, cooling: float, began: int = 0) -> float:
    """Share of the full rate: a warm-up, then constant, then falling linearly over the last `cooling` of the run.

    A constant middle lets a run go on for longer than was planned when it began.
    """
    start = min(1.0, (done - began + 1) / warmup)
    left = (total - done) / max(1.0, cooling * total)
    return start * min(1.0, max(0.02, left))


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon takes it: a matrix between hidden vectors, not a table or a head."""
    inside = ".layers." in name or name.startswith("resampler.")
    return parameter.ndim == 2 and inside and not name.endswith(("query", "lm_head.weight"))


class Optimizers:
    """Both optimizers as one.

    Args:
        named: parameters by name. slow: share of the rate by prefix of a name.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], rate: float = RATE,
                 slow: dict[str, float] | None = None) -> None:  # fmt: skip
        shares = {"": 1.0} | (slow or {})
        # By prefix, not by share: a run that goes on may change its shares, and two may then be equal.
        groups: dict[tuple[bool, str], list[nn.Parameter]] = {}
        for name, parameter in named:
            prefix = next((prefix for prefix in slow or {} if name.startswith(prefix)), "")
            groups.setdefault((is_matrix(name, parameter), prefix), []).append(parameter)
        self.parts: list[Any] = []
        rest = [{"params": p, "lr": rate * shares[prefix]} for (muon, prefix), p in groups.items() if not muon]
        matrices = [
            {"params": p, "lr": rate * MUON_RATE * shares[prefix]} for (muon, prefix), p in groups.items() if muon
        ]
        if rest:
            self.parts.append(torch.optim.AdamW(rest, rate, betas=(0.9, 0.98), weight_decay=0.02, fused=True))
        if matrices:
            muon = torch.optim.Muon if low() is torch.bfloat16 else PlainMuon
            self.parts.append(
                muon(matrices, lr=rate * MUON_RATE, momentum=0.95, weight_decay=0.02, adjust_lr_fn="original")
            )
        self._full = [group["lr"] for part in self.parts for group in part.param_groups]
        self.parameters = [p for part in groups.values() for p in part]

    def step(self, share: float) -> float:
        """Clip the gradients to norm 1, step at this share of the rate, clear; gives the norm."""
        groups = [group for part in self.parts for group in part.param_groups]
        for group, full in zip(groups, self._full, strict=True):
            group["lr"] = full * share
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for part in self.parts:
            part.step()
            part.zero_grad(set_to_none=True)
        return float(norm)

    def state_dict(self) -> list[Any]:
        """Of both."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[Any]) -> None:
        """Of both."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
