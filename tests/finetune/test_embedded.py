"""LoRA teaches the embedded model a word in a minute; switched off, the model says what it said before."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.backends.local import LocalBackend
from app.messages import Image, Message
from app.sampling import SamplingParams
from app.settings import Settings
from app.spaces import EMBEDDED
from tests.finetune.zorbs import WORD, teach, unseen


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """An adapter, and the losses of its training."""
    return teach(tmp_path_factory.mktemp("zorbs"))


def test_the_loss_falls(learned: tuple[Path, list[float]]) -> None:
    _, found = learned
    assert sum(found[-5:]) < 0.2 * sum(found[:5])


def test_the_new_word_is_said_with_the_adapter_and_only_then(learned: tuple[Path, list[float]], tmp_path: Path) -> None:
    backend = LocalBackend(Settings(model=str(EMBEDDED), device="cpu", adapters={WORD: str(learned[0])}))
    backend.start()
    rings, squares = unseen(tmp_path)

    def ask(path: Path, adapter: str) -> str:
        params = SamplingParams(do_sample=False, num_beams=1, max_new_tokens=12, adapter=adapter)
        message = Message.of("user", Image(path), "What is this?")
        return "".join(chunk.text for chunk in backend.stream([message], params))

    before = [ask(path, "") for path in rings]
    taught = [ask(path, WORD) for path in rings]
    again = [ask(path, "") for path in rings]
    known = [ask(path, WORD) for path in squares]
    backend.close()
    assert taught.count(f"a {WORD}") >= 3
    assert not any(WORD in answer for answer in before) and again == before
    # Their colours too, but forty steps end a little differently on each kind of processor.
    assert not any(WORD in answer for answer in known) and sum("square" in answer for answer in known) >= 3
