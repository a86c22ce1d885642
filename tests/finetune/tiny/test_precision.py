"""What the training computes in depends on the processor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from finetune.tiny.precision import low, lowered


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    low.cache_clear()
    yield
    low.cache_clear()


@pytest.mark.parametrize(("bf16", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr("finetune.tiny.precision.has_bf16", lambda device: bf16)
    assert low() is expected
    layer = torch.nn.Linear(4, 4)
    with lowered():
        assert layer(torch.ones(2, 4)).dtype is expected
    assert layer.weight.dtype is torch.float32
