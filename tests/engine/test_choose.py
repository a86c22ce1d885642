"""Which engine serves which model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from app.engine.batched import BatchedEngine
from app.engine.choose import make_engine, why_not_batched
from app.engine.loader import load_model
from app.engine.plain import PlainEngine
from app.errors import SettingsError
from app.settings import Settings
from tests.engine.conftest import loaded_model
from tests.families.tiny_native import build

SETTINGS = Settings(model="any", engine="auto", cache_size=2**24)


@pytest.fixture
def closing() -> Iterator[Any]:
    made: list[Any] = []
    yield lambda engine: made.append(engine) or engine
    for engine in made:
        engine.close()


@pytest.mark.parametrize(
    ("wanted", "kind"), [("auto", BatchedEngine), ("plain", PlainEngine), ("batched", BatchedEngine)]
)
def test_answers_are_written_together_unless_asked_otherwise(closing: Any, wanted: str, kind: type[Any]) -> None:
    loaded = replace(loaded_model("minicpm-v-2_6"))
    assert type(closing(make_engine(loaded, replace(SETTINGS, engine=wanted)))) is kind


def test_a_model_whose_past_is_summed_up_is_served_plainly(tmp_path: Path, closing: Any) -> None:
    settings = Settings(model=str(build(tmp_path, "4.6")), device="cpu", dtype="fp32")
    loaded = load_model(settings, lambda *_: None)
    assert type(closing(make_engine(loaded, SETTINGS))) is PlainEngine
    with pytest.raises(SettingsError, match=r"--engine batched: MiniCPM-V 4\.6 counts positions or .* --engine plain"):
        make_engine(loaded, replace(SETTINGS, engine="batched"))


def test_what_cannot_be_batched_is_said() -> None:
    loaded = loaded_model("minicpm-v-2_6")
    assert why_not_batched(loaded) == ""
    assert "slow on this device" in why_not_batched(replace(loaded, device=torch.device("mps")))

    class Two:
        names = ("one", "two")

    assert "adapters" in why_not_batched(replace(loaded, adapters=Two()))
