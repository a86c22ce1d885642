"""Which engine serves which model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from app.engine.batched import BatchedEngine
from app.engine.choose import _why_not_compiled, make_engine, why_not_batched
from app.engine.loader import load_model
from app.engine.plain import PlainEngine
from app.engine.vision_table import least_bytes
from app.errors import OutOfMemoryError, SettingsError
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


def test_a_vision_table_holds_one_picture_at_least(closing: Any) -> None:
    loaded = replace(loaded_model("minicpm-v-2_6"))
    least = least_bytes(loaded)
    wanted = rf"--vision-table: got {least - 1} bytes; one picture takes {least} with this model\. Give .* or auto\."
    with pytest.raises(SettingsError, match=wanted):
        make_engine(loaded, replace(SETTINGS, vision_table=least - 1))
    assert closing(make_engine(loaded, replace(SETTINGS, vision_table=least)))._reading_bytes == least


def test_a_model_whose_past_is_summed_up_is_served_plainly(
    tmp_path: Path, closing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(model=str(build(tmp_path, "4.6")), device="cpu", dtype="fp32")
    loaded = load_model(settings, lambda *_: None)
    assert type(closing(make_engine(loaded, SETTINGS))) is PlainEngine
    assert not caplog.messages
    assert type(closing(make_engine(loaded, replace(SETTINGS, vision_table=2**24)))) is PlainEngine
    assert "--vision-table has no effect" in caplog.text
    with pytest.raises(SettingsError, match=r"--engine batched: MiniCPM-V 4\.6 counts positions or .* --engine plain"):
        make_engine(loaded, replace(SETTINGS, engine="batched"))


def test_what_cannot_be_batched_is_said() -> None:
    loaded = loaded_model("minicpm-v-2_6")
    assert why_not_batched(loaded) == ""
    assert "slow on this device" in why_not_batched(replace(loaded, device=torch.device("mps")))

    class Two:
        names = ("one", "two")

    assert "adapters" in why_not_batched(replace(loaded, adapters=Two()))


def test_without_room_for_a_whole_context_answers_are_written_one_by_one(
    closing: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_room(self: BatchedEngine) -> None:
        self._decoder.set_input_embeddings(self._table)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(BatchedEngine, "_make_manager", no_room)
    loaded = replace(loaded_model("minicpm-v-2_6"))
    before = loaded.model.get_input_embeddings()
    assert type(closing(make_engine(loaded, SETTINGS))) is PlainEngine
    assert loaded.model.get_input_embeddings() is before and "one after another" in caplog.text
    with pytest.raises(OutOfMemoryError, match=r"--engine plain"):
        make_engine(loaded, replace(SETTINGS, engine="batched"))


def test_int8_is_not_recorded() -> None:
    loaded = loaded_model("minicpm-v-2_6")

    class Int8:
        is_loaded_in_8bit = True

    quantised = SimpleNamespace(adapters=loaded.adapters, device=torch.device("cuda"), model=Int8())
    assert "int8" in _why_not_compiled(quantised, False, "")
    quantised.model = loaded.model
    assert _why_not_compiled(quantised, False, "") == ""
