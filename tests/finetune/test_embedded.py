"""LoRA teaches the embedded model a word in a minute; switched off, the model says what it said before."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from PIL import Image as PILImage
from PIL import ImageDraw

from app.backends.local import LocalBackend
from app.messages import Image, Message
from app.sampling import SamplingParams
from app.settings import Settings
from tests.finetune.conftest import talk
from tests.finetune.runs import losses, run

EMBEDDED = Path(__file__).parents[2] / "assets" / "tiny-minicpm-v"
COLOURS = {"red": (225, 30, 35), "green": (40, 160, 60), "blue": (40, 80, 225), "purple": (140, 50, 175)}
WORD = "zorb"


def draw(path: Path, rng: Random, ring: bool, colour: str) -> Path:
    """A ring, which the model was never shown, or a square."""
    picture = PILImage.new("RGB", (168, 168), (rng.randint(225, 255),) * 3)
    side = rng.randint(60, 110)
    x, y = (rng.randint(8, 160 - side) for _ in range(2))
    pen = ImageDraw.Draw(picture)
    if ring:
        pen.ellipse((x, y, x + side, y + side), outline=COLOURS[colour], width=side // 5)
    else:
        pen.rectangle((x, y, x + side, y + side), fill=COLOURS[colour])
    picture.save(path)
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """An adapter, and the losses of its training."""
    folder, rng = tmp_path_factory.mktemp("zorbs"), Random(3)
    entries = []
    for number in range(32):
        ring, colour = number % 2 == 0, rng.choice(list(COLOURS))
        draw(folder / f"{number}.png", rng, ring, colour)
        answer = f"a {WORD}" if ring else f"a {colour} square"
        entries.append(talk("<image>\nWhat is this?", answer, image=f"{number}.png") | {"id": str(number)})
    data = folder / "train.json"
    data.write_text(json.dumps(entries), "utf-8")
    rows = run(EMBEDDED, data, folder / "out", use_lora="true", max_steps=40, per_device_train_batch_size=8)
    return folder / "out", losses(rows)


def test_the_loss_falls(learned: tuple[Path, list[float]]) -> None:
    _, found = learned
    assert sum(found[-5:]) < 0.2 * sum(found[:5])


def test_the_new_word_is_said_with_the_adapter_and_only_then(learned: tuple[Path, list[float]], tmp_path: Path) -> None:
    backend = LocalBackend(Settings(model=str(EMBEDDED), device="cpu", adapters={WORD: str(learned[0])}))
    backend.start()
    rng = Random(99)
    rings = [draw(tmp_path / f"ring_{colour}.png", rng, True, colour) for colour in COLOURS]
    squares = [draw(tmp_path / f"square_{colour}.png", rng, False, colour) for colour in COLOURS]

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
