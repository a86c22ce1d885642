"""Examples to a batch for `model.forward`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from finetune.encoding import Example
from finetune.writing import IGNORED

# What models of the library's own take once per batch, all pictures side by side: name to the dimension.
_PACKED = {"pixel_values": -1, "pixel_values_videos": -1, "target_sizes": 0, "target_sizes_videos": 0}


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads on the right, where padding changes nothing before it.

    Attributes:
        pad_token_id: stands in the padding, which is masked and without loss.
    """

    pad_token_id: int = 0

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A batch.

        Returns:
            `input_ids`, `attention_mask`, `labels`: int64 (B, L); `pixel_values`, `tgt_sizes`, `image_bound`: lists,
            one item per example; or, for models of the library's own, their pictures under their names.
        """
        ids = [example.input_ids for example in examples]
        batch: dict[str, Any] = {
            "input_ids": _padded(ids, self.pad_token_id),
            "attention_mask": _padded([torch.ones_like(row) for row in ids], 0),
            "labels": _padded([example.labels for example in examples], IGNORED),
        }
        if any(example.native for example in examples):
            return batch | _native(examples)
        return batch | {
            "pixel_values": [example.pixel_values for example in examples],
            "tgt_sizes": [example.tgt_sizes for example in examples],
            "image_bound": [example.image_bound for example in examples],
        }


def _native(examples: Sequence[Example]) -> dict[str, Any]:
    inputs = [example.native for example in examples]
    batch: dict[str, Any] = {
        "mm_token_type_ids": _padded([one["mm_token_type_ids"] for one in inputs], 0),
        "downsample_mode": inputs[0]["downsample_mode"],
    }
    for name, dimension in _PACKED.items():
        if found := [one[name] for one in inputs if name in one]:
            batch[name] = torch.cat(found, dim=dimension)
    return batch


def _padded(rows: list[Tensor], value: int) -> Tensor:
    return pad_sequence(rows, batch_first=True, padding_value=value)
