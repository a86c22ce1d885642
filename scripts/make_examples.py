"""Draw the pictures and encode the clip of the tab "How to use" into assets/examples/: python -m scripts.make_examples

They show what the embedded model knows, so that it answers them right: shapes in plain colours, a printed word, a
ball that moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import av
from PIL import Image, ImageDraw, ImageFont, ImageOps

from finetune.tiny.palette import outline

OUT = Path(__file__).resolve().parents[1] / "assets" / "examples"
SCALE = 3  # drawn larger, then reduced: smooth edges
COLOURS = {"red": "#dc2a36", "blue": "#2f62d9", "green": "#2ba545", "orange": "#f58a1c", "purple": "#8a3ab4"}
UPRIGHT = 81  # a seed with which no shape is turned
PAPER, SKY, SAND = ("#fdfcf8", "#f1ece0"), ("#eef5fa", "#dbe7f0"), ("#fbf3e4", "#f0e2c8")


@dataclass(frozen=True, slots=True)
class Mark:
    """A shape around (x, y), `radius` from its middle to its edge, in pixels."""

    colour: str
    name: str
    x: float
    y: float
    radius: float


def main() -> None:
    """Write all files."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures():
        picture.save(OUT / name, optimize=True, quality=90)
    ball(OUT / "ball.mp4")


def pictures() -> Iterable[tuple[str, Image.Image]]:
    """File names and pictures."""
    yield (
        "shapes.png",
        drawn(
            (640, 480),
            PAPER,
            Mark("red", "circle", 150, 140, 76),
            Mark("blue", "star", 470, 130, 84),
            Mark("green", "square", 190, 350, 68),
            Mark("orange", "triangle", 480, 350, 76),
        ),
    )
    yield (
        "pair_1.png",
        drawn((480, 360), SKY, Mark("blue", "star", 130, 130, 72), Mark("orange", "heart", 345, 230, 66)),
    )
    yield (
        "pair_2.png",
        drawn((480, 360), SKY, Mark("green", "square", 130, 230, 62), Mark("red", "circle", 340, 130, 68)),
    )
    shots = (("red", "circle"), ("blue", "star"), ("green", "heart"))
    for number, (colour, name) in enumerate(shots, start=1):
        yield f"shot_{number}.png", drawn((320, 240), SAND, Mark(colour, name, 160, 120, 78))
    yield "word.jpg", printed((480, 240), "STOP")


def canvas(size: tuple[int, int], ground: tuple[str, str]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A picture of `SCALE` times the size that fades from one colour down to another, and its pencil."""
    shade = Image.linear_gradient("L").resize((size[0] * SCALE, size[1] * SCALE))
    picture = ImageOps.colorize(shade, *ground)
    return picture, ImageDraw.Draw(picture)


def drawn(size: tuple[int, int], ground: tuple[str, str], *marks: Mark) -> Image.Image:
    """Shapes on a ground."""
    picture, pencil = canvas(size, ground)
    for mark in marks:
        corners = outline(mark.name, Random(UPRIGHT))
        places = [(SCALE * (mark.x + mark.radius * x), SCALE * (mark.y + mark.radius * y)) for x, y in corners]
        pencil.polygon(places, fill=COLOURS[mark.colour])
    return finished(picture)


def printed(size: tuple[int, int], text: str) -> Image.Image:
    """A word in the middle, in the font that Pillow brings along."""
    picture, pencil = canvas(size, PAPER)
    font = ImageFont.load_default(size=100 * SCALE)
    pencil.text((picture.width / 2, picture.height / 2), text, fill="#14213d", font=font, anchor="mm")
    return finished(picture)


def finished(picture: Image.Image) -> Image.Image:
    """The picture at its own size."""
    return picture.resize((picture.width // SCALE, picture.height // SCALE), Image.Resampling.LANCZOS)


def ball(path: Path, seconds: int = 10, rate: int = 12) -> None:
    """A red ball that goes from left to right."""
    width, height, radius = 192, 144, 20
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "23", "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(seconds * rate):
            x = 28 + (width - 56) * index / (seconds * rate - 1)
            frame = drawn((width, height), SKY, Mark("red", "circle", x, height / 2, radius))
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
