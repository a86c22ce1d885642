"""A merged checkpoint behind real engines: what was taught is said there, as our own engine says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.backends.base import Backend
from app.messages import Image, Message
from finetune.merge import merge
from tests.engines.conftest import NAMES, ask, serving, started_backend
from tests.finetune.zorbs import WORD, teach, unseen

pytestmark = [pytest.mark.engines, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model with a new word, as a plain checkpoint."""
    folder = tmp_path_factory.mktemp("zorbs")
    adapter, _ = teach(folder)
    merge(adapter, folder / "merged")
    return folder / "merged"


def answers(backend: Backend, pictures: list[Path]) -> list[str]:
    asked = (Message.of("user", Image(path), "What is this?") for path in pictures)
    return [ask(backend, [message])[0] for message in asked]


@pytest.mark.parametrize("name", NAMES)
def test_the_new_word_is_said_by_engines(name: str, merged: Path, tmp_path: Path) -> None:
    rings, squares = unseen(tmp_path)
    with started_backend(model=str(merged), device="cpu", dtype="fp32") as ours:
        expected = answers(ours, rings + squares)
    with serving(name, merged, tmp_path) as engine, started_backend(base_urls=[engine.url], backend="openai") as theirs:
        found = answers(theirs, rings + squares)
    assert found == expected
    assert found[:4].count(f"a {WORD}") >= 3 and not any(WORD in answer for answer in found[4:])
