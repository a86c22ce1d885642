"""A word that the embedded model does not know, and pictures of what it means."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from app.spaces import EMBEDDED
from tests.finetune.conftest import talk
from tests.finetune.runs import losses, run

COLOURS = {"red": (225, 30, 35), "green": (40, 160, 60), "blue": (40, 80, 225), "purple": (140, 50, 175)}
WORD = "zorb"


def draw(path: Path, rng: Random, ring: bool, colour: str) -> Path:
    """A ring, which the model was never shown, or a square."""
    picture = Image.new("RGB", (168, 168), (rng.randint(225, 255),) * 3)
    side = rng.randint(60, 110)
    x, y = (rng.randint(8, 160 - side) for _ in range(2))
    pen = ImageDraw.Draw(picture)
    if ring:
        pen.ellipse((x, y, x + side, y + side), outline=COLOURS[colour], width=side // 5)
    else:
        pen.rectangle((x, y, x + side, y + side), fill=COLOURS[colour])
    picture.save(path)
    return path


def teach(folder: Path) -> tuple[Path, list[float]]:
    """Train an adapter in a folder; returns its own folder and the losses."""
    rng, entries = Random(3), []
    for number in range(32):
        ring, colour = number % 2 == 0, rng.choice(list(COLOURS))
        draw(folder / f"{number}.png", rng, ring, colour)
        answer = f"a {WORD}" if ring else f"a {colour} square"
        entries.append(talk("<image>\nWhat is this?", answer, image=f"{number}.png") | {"id": str(number)})
    data = folder / "train.json"
    data.write_text(json.dumps(entries), "utf-8")
    rows = run(EMBEDDED, data, folder / "out", use_lora="true", max_steps=40, per_device_train_batch_size=8)
    return folder / "out", losses(rows)


def unseen(folder: Path) -> tuple[list[Path], list[Path]]:
    """Rings and squares that were not trained with, one of each colour."""
    rng = Random(99)
    rings = [draw(folder / f"ring_{colour}.png", rng, True, colour) for colour in COLOURS]
    return rings, [draw(folder / f"square_{colour}.png", rng, False, colour) for colour in COLOURS]
