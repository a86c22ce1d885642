"""A loaded tiny model and an engine on it, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from app.engine.loader import LoadedModel
from app.engine.plain import PlainEngine
from app.families import all_families
from app.modeling.auto import find_member
from tests.modeling.golden import MODELS, load


def loaded_model(name: str) -> LoadedModel:
    """A golden checkpoint as the engine takes it, in fp32 on the CPU."""
    model, _, processor = load(name)
    family: Any = find_member(all_families(), model.config.to_dict())
    context = model.config.max_position_embeddings
    return LoadedModel(model, processor, family, torch.device("cpu"), (), context)


@pytest.fixture(params=MODELS)
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return loaded_model(request.param)


@pytest.fixture
def engine(loaded: LoadedModel) -> Iterator[PlainEngine]:
    engine = PlainEngine(loaded)
    yield engine
    engine.close()
