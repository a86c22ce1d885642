"""Several processes of one thread each that train one model: on a few cores faster than one process of many threads.

Started by `python -m torch.distributed.run --standalone --nproc-per-node N -m ...`; alone it is one process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Team:
    """Who trains together: this process is number `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process reports and saves."""
        return self.rank == 0

    def average(self, parameters: Sequence[Tensor]) -> None:
        """Replace every gradient by its mean over the processes; all must have gradients of the same parameters.

        What has no gradient keeps none: an optimizer would move it by its momentum otherwise.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        pieces = flat.split([gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, pieces, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def agree(self, parameters: Sequence[Tensor]) -> None:
        """Start all processes from the first one's values."""
        for parameter in parameters:
            if self.size > 1:
                distributed.broadcast(parameter.data, 0)


def join(threads: int) -> Team:
    """The processes that were started together; each uses one thread if there are several, else `threads`."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1 if size > 1 else threads)
    if size == 1:
        return Team()
    distributed.init_process_group("gloo")
    return Team(distributed.get_rank(), size)
