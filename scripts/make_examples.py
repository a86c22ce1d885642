"""Draw the pictures and encode the clip of the tab "How to use" into assets/examples/."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

OUT = Path(__file__).resolve().parents[1] / "assets" / "examples"
SCALE = 3  # drawn larger, then reduced: smooth edges


def main() -> None:
    """Write all files."""
    OUT.mkdir(parents=True, exist_ok=True)
    table().save(OUT / "table.jpg", quality=85)
    room(lamp_on=False, cat=True).save(OUT / "before.png", optimize=True)
    room(lamp_on=True, cat=False).save(OUT / "after.png", optimize=True)
    for number, (circles, squares) in enumerate(((3, 0), (1, 2), (2, 3)), start=1):
        shapes(circles, squares, seed=number).save(OUT / f"shapes_{number}.png", optimize=True)
    ball(OUT / "ball.mp4")


def canvas(width: int, height: int, colour: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A picture of `SCALE` times the size and its pencil."""
    picture = Image.new("RGB", (width * SCALE, height * SCALE), colour)
    return picture, ImageDraw.Draw(picture)


def finished(picture: Image.Image) -> Image.Image:
    """The picture at its own size."""
    return picture.resize((picture.width // SCALE, picture.height // SCALE), Image.Resampling.LANCZOS)


def box(*corners: float) -> list[float]:
    """Corners in the scale of the canvas."""
    return [corner * SCALE for corner in corners]


def table() -> Image.Image:
    """A cup, two apples and a book on a table in front of a wall."""
    picture, pencil = canvas(640, 480, "#d9e4ec")
    pencil.rectangle(box(0, 300, 640, 480), fill="#a9784e")
    for y in range(320, 480, 40):
        pencil.line(box(0, y, 640, y), fill="#9a6b43", width=2 * SCALE)
    shadow = Image.new("L", picture.size, 0)
    shade = ImageDraw.Draw(shadow)
    for corners in ((80, 380, 260, 410), (300, 385, 470, 415), (470, 400, 620, 425)):
        shade.ellipse(box(*corners), fill=110)
    picture.paste("#5a3c22", mask=shadow.filter(ImageFilter.GaussianBlur(8 * SCALE)))
    pencil.rectangle(box(90, 350, 250, 395), fill="#2f5d8a")
    pencil.rectangle(box(90, 385, 250, 393), fill="#f3efe4")
    pencil.rectangle(box(100, 320, 240, 350), fill="#b23a48")
    pencil.rectangle(box(320, 270, 430, 400), fill="#f7f7f2")
    pencil.ellipse(box(320, 255, 430, 285), fill="#e8e6df")
    pencil.ellipse(box(330, 260, 420, 280), fill="#4b2e1e")
    pencil.arc(box(415, 295, 465, 365), -90, 90, fill="#f7f7f2", width=12 * SCALE)
    for x, colour in ((480, "#c8322b"), (545, "#7fa33a")):
        pencil.ellipse(box(x, 345, x + 70, 415), fill=colour)
        pencil.line(box(x + 35, 350, x + 40, 332), fill="#5a3c22", width=4 * SCALE)
        pencil.ellipse(box(x + 15, 358, x + 28, 372), fill="#ffffff")
    return finished(picture)


def room(*, lamp_on: bool, cat: bool) -> Image.Image:
    """A room with a lamp and a sofa; a cat sits on it or does not."""
    picture, pencil = canvas(480, 360, "#f2dfae" if lamp_on else "#8d96a8")
    pencil.rectangle(box(0, 280, 480, 360), fill="#7a5a43")
    pencil.rectangle(box(120, 190, 400, 300), fill="#4a7a6d")
    pencil.rectangle(box(100, 220, 130, 305), fill="#3d665b")
    pencil.rectangle(box(390, 220, 420, 305), fill="#3d665b")
    pencil.line(box(60, 290, 60, 120), fill="#333333", width=5 * SCALE)
    pencil.polygon(box(35, 130, 85, 130, 72, 85, 48, 85), fill="#ffd84d" if lamp_on else "#555b66")
    pencil.rectangle(box(300, 50, 420, 140), fill="#1f2f4f", outline="#ffffff", width=5 * SCALE)
    if cat:
        pencil.ellipse(box(210, 200, 300, 255), fill="#222222")
        pencil.ellipse(box(275, 175, 325, 220), fill="#222222")
        pencil.polygon(box(281, 185, 285, 160, 297, 178), fill="#222222")
        pencil.polygon(box(303, 178, 317, 160, 320, 185), fill="#222222")
        for x in (290, 306):
            pencil.ellipse(box(x, 190, x + 6, 198), fill="#e8d44d")
    return finished(picture)


def shapes(circles: int, squares: int, seed: int) -> Image.Image:
    """Circles and squares on a grid, at places that the seed chooses."""
    picture, pencil = canvas(320, 240, "#ffffff")
    cells = np.random.default_rng(seed).permutation(6)[: circles + squares]
    for number, cell in enumerate(cells):
        x, y = 25 + int(cell) % 3 * 100, 25 + int(cell) // 3 * 105
        draw = pencil.ellipse if number < circles else pencil.rectangle
        draw(box(x, y, x + 70, y + 70), fill="#d1495b" if number < circles else "#2e6f95")
    return finished(picture)


def ball(path: Path, seconds: int = 5, rate: int = 12) -> None:
    """A ball that rolls from left to right and turns from red to blue half way."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "28", "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(seconds * rate):
            frame = av.VideoFrame.from_image(_ball_frame(index / (seconds * rate - 1)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _ball_frame(part: float) -> Image.Image:
    picture, pencil = canvas(320, 240, "#e6eef2")
    pencil.rectangle(box(0, 180, 320, 240), fill="#6b8f5e")
    x = 20 + part * 240
    colour = "#d1495b" if part < 0.5 else "#2e6f95"
    pencil.ellipse(box(x, 140, x + 44, 184), fill=colour)
    return finished(picture)


if __name__ == "__main__":
    main()
