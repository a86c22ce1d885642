"""Ids of image features: equal for equal pictures, and never reused while anything remembers what they meant."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from app.engine import vision_table
from app.engine.plain import PlainEngine
from app.engine.vision_table import FIRST, VisionTable, least_bytes
from tests.engine.conftest import loaded_model
from tests.engine.golden_requests import golden_requests
from tests.engine.test_plain import wait
from tests.modeling.golden import MODELS
from tests.modeling.legacy import LEGACY

WIDTH = 4


@pytest.fixture
def table() -> VisionTable:
    return VisionTable(nn.Embedding(10, WIDTH), 64)


def picture(number: int, count: int = 3) -> tuple[bytes, Tensor]:
    return bytes([number]), torch.full((1, count, WIDTH), float(number))


def use(table: VisionTable, number: int, count: int = 3) -> range:
    """A request with one picture."""
    digest, features = picture(number, count)
    ids = table.hold(digest, count, lambda: {digest: features})
    table.put({digest: features})
    return ids


def leave(table: VisionTable, number: int) -> None:
    table.read(bytes([number]))
    table.release(bytes([number]))


def embedded(table: VisionTable, ids: range) -> list[float]:
    with torch.no_grad():
        return [float(one) for one in table(torch.tensor([list(ids)]))[0, :, 0]]


def test_each_picture_has_ids_of_its_own_which_give_its_features(table: VisionTable) -> None:
    one, other = use(table, 1), use(table, 2)
    assert use(table, 1) == one and set(one).isdisjoint(other)
    assert embedded(table, one) == [1.0] * 3 and embedded(table, other) == [2.0] * 3
    assert table.used == 2 and table.held_bytes == 2 * 3 * WIDTH * 4


def test_features_go_when_all_have_read_them_and_come_back_where_they_are_needed_again(table: VisionTable) -> None:
    ids = use(table, 1)
    use(table, 1)
    table.read(b"\x01")
    assert table.held_bytes, "the other has not read it yet"
    table.read(b"\x01")
    assert not table.held_bytes and table.used == 1
    assert embedded(table, ids) == [1.0] * 3
    table.release(b"\x01")
    table.release(b"\x01")
    assert not table.used and not table.held_bytes


def test_what_nobody_remembers_is_forgotten(table: VisionTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_table, "MOST_REMEMBERED", 4)
    table._most = 4
    in_use, in_page = use(table, 1), use(table, 2)
    leave(table, 2)
    table.watch(lambda: {in_page[1]})
    for number in range(3, 200):
        use(table, number)
        leave(table, number)
        assert table.remembered <= 4
    assert use(table, 1) == in_use and use(table, 2) == in_page


def test_ids_are_used_again_but_never_those_that_a_page_or_a_request_has(
    table: VisionTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vision_table, "LAST", FIRST + 12)
    in_page, in_use = use(table, 1), use(table, 2)
    leave(table, 1)
    pages = {in_page[2]}
    table.watch(lambda: pages)
    for number in range(3, 50):
        ids = use(table, number)
        assert ids.start >= FIRST and ids.stop <= FIRST + 12
        assert set(ids).isdisjoint(in_page) and set(ids).isdisjoint(in_use)
        assert embedded(table, ids) == [float(number)] * 3
        leave(table, number)
    assert embedded(table, in_use) == [2.0] * 3
    with pytest.raises(MemoryError):
        use(table, 60, count=7)
    pages.clear()
    assert use(table, 60, count=6).stop <= FIRST + 12


@pytest.mark.parametrize("model", [*MODELS, *LEGACY])
def test_the_smallest_table_holds_the_features_of_a_large_picture(model: str) -> None:
    loaded = replace(loaded_model(model))
    engine = PlainEngine(loaded, cache_bytes=64 * 1024**2)
    large = next(request for request in golden_requests(model) if request.name == "pub_single_large")
    wait(engine.submit(large.messages, replace(large.params, max_new_tokens=1)))
    engine.close()
    (features,) = loaded.runner.features.values()
    assert features.nbytes == least_bytes(loaded)
