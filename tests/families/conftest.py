"""Tiny checkpoints of the models in the library, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.families.tiny_native import NAMES, build


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by name; a test that changes one builds its own."""
    return {name: build(tmp_path_factory.mktemp(name), name) for name in NAMES}
