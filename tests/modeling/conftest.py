"""What the loading tests share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.modeling.golden import checkpoint


@pytest.fixture
def copy(tmp_path: Path) -> Any:
    def make(model: str) -> Path:
        return Path(shutil.copytree(checkpoint(model), tmp_path / model))

    return make
