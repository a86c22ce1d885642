"""Estimates against the sizes of the published weight files."""

from __future__ import annotations

from typing import Any

import pytest

from app.engine.memory import Estimate, empty_model, estimate
from app.families import all_families

# Total sizes from the published index files, in bytes: 2.6 in bf16, 2.5 in fp32.
PUBLISHED = {"MiniCPM-V 2.6": ("bf16", 16198350304), "MiniCPM-Llama3-V 2.5": ("fp32", 34148369344)}


def needs(name: str, dtype: str) -> Estimate:
    family: Any = next(family for family in all_families() if family.name == name)
    config = family.config_class(**family.published)
    return estimate(empty_model(config, family.model_class), config, dtype)


@pytest.mark.parametrize(("name", "dtype", "size"), [(name, *row) for name, row in PUBLISHED.items()])
def test_weights_equal_the_published_files(name: str, dtype: str, size: int) -> None:
    assert needs(name, dtype).weights == size


@pytest.mark.parametrize("name", PUBLISHED)
def test_quantised_weights_are_smaller_in_order(name: str) -> None:
    sizes = [needs(name, dtype).weights for dtype in ("fp32", "bf16", "int8", "int4")]
    assert sizes == sorted(sizes, reverse=True)
    assert needs(name, "bf16").weights == needs(name, "fp16").weights


def test_keys_and_values_of_known_shapes() -> None:
    assert needs("MiniCPM-V 2.6", "bf16").kv_per_1000 == 56 * 1024 * 1000
    assert needs("MiniCPM-Llama3-V 2.5", "bf16").kv_per_1000 == 128 * 1024 * 1000


def test_vision_is_near_what_was_measured() -> None:
    """24 MB of activations per slice of about 1,000 patches in bf16, 16 slices at once; pixels are bytes."""
    found = needs("MiniCPM-V 2.6", "bf16")
    assert found.image == pytest.approx(10 * 24e6, rel=0.15)
    assert found.frames == pytest.approx(16 * 24e6 + 38e6, rel=0.15)


def test_total_counts_the_larger_vision_need_once() -> None:
    assert Estimate(100, 10, 7, 9).total(2000) == 100 + 20 + 9
