"""Evaluation samples with the model's answers, as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as PILImage
from PIL import ImageOps

SIDE = 320
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }
section { border-top: 1px solid #ccc; padding: 1rem 0 }
img { max-height: 16rem; border-radius: 4px; margin: 0 .5rem .5rem 0 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 0 }
dt { color: #666 } dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
.same { color: #17692f }
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """A sample and what the model says to it.

    Attributes:
        name: the sample's id.
        pictures: those of the conversation, in order; of a video its first frames.
        turns: (role, text) of what comes before the answer.
        expected: the answer in the data.
        answer: the model's own.
    """

    name: str
    pictures: Sequence[PILImage.Image]
    turns: Sequence[tuple[str, str]]
    expected: str
    answer: str

    @property
    def same(self) -> bool:
        """Whether the answer is word for word the expected one."""
        return self.answer.strip() == self.expected.strip()


def write_page(path: Path, title: str, samples: Sequence[Answered]) -> None:
    """Write the page; every text in it is escaped."""
    right = sum(sample.same for sample in samples)
    head = f"<h1>{html.escape(title)}</h1><p>{right} of {len(samples)} answers are word for word as expected.</p>"
    body = "\n".join(_section(sample) for sample in samples)
    path.write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>{head}\n{body}\n</body></html>\n",
        "utf-8",
    )


def _section(sample: Answered) -> str:
    pictures = "".join(f'<img alt="" src="{thumbnail(picture)}">' for picture in sample.pictures)
    rows = [*sample.turns, ("expected", sample.expected)]
    entries = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in rows)
    mark = ' class="same"' if sample.same else ""
    return (
        f"<section><h2>{html.escape(sample.name)}</h2>{pictures}<dl>{entries}"
        f"<dt>the model</dt><dd{mark}>{html.escape(sample.answer)}</dd></dl></section>"
    )


def thumbnail(picture: PILImage.Image) -> str:
    """A small copy as a data URL."""
    small = ImageOps.contain(picture.convert("RGB"), (SIDE, SIDE)) if max(picture.size) > SIDE else picture
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
