"""PyTorch's Muon where bfloat16 is emulated: it orthogonalises in that type alone, which there takes longer than all
the rest of a step.

Formula: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", a quintic Newton-Schulz
iteration.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class PlainMuon(torch.optim.Muon):
    """In the type of the parameters; learning rates are adjusted as by `adjust_lr_fn="original"`, whatever it says."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                kept = state["momentum_buffer"]
                kept.lerp_(gradient, 1 - momentum)
                moving = gradient.lerp(kept, momentum) if group["nesterov"] else kept
                update = orthogonal(moving, group["ns_coefficients"], group["ns_steps"], group["eps"])
                rows, cols = parameter.shape
                parameter.mul_(1 - rate * group["weight_decay"])
                parameter.add_(update, alpha=-rate * max(1.0, rows / cols) ** 0.5)
        return loss


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """A matrix with about the same singular vectors, whose singular values lie around one."""
    first, third, fifth = coefficients
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        squared = wide @ wide.T
        wide = first * wide + (third * squared + fifth * squared @ squared) @ wide
    return wide.T if matrix.shape[0] > matrix.shape[1] else wide
