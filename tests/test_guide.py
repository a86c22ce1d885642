"""docs/guide.md: every picture is there and small, every link leads somewhere, every picture can be taken again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from scripts.make_guide import SHOTS
from tests.test_readme import TEXT as README

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide.md"
TEXT = GUIDE.read_text("utf-8")
PICTURES = re.findall(r'!\[[^]]+\]\(([^)]+)\)|<img src="([^"]+)" alt="[^"]+"', TEXT)
LINKS = re.findall(r"(?<!!)\[[^]]+\]\(([^)]+)\)", TEXT)


def anchors() -> set[str]:
    """Of the headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_script_takes_the_pictures_that_are_shown() -> None:
    shown = [Path(one or other) for one, other in PICTURES]
    assert shown and {path.stem for path in shown} <= set(SHOTS)
    assert sorted(path.name for path in (ROOT / "docs" / "guide").iterdir()) == sorted(path.name for path in shown)


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "guide").iterdir()), ids=lambda path: path.name)
def test_a_picture_is_small(path: Path) -> None:
    assert path.stat().st_size < 100_000
    with Image.open(path) as picture:
        assert min(picture.size) > 100


def test_every_link_leads_somewhere() -> None:
    assert len(LINKS) > 10
    for link in LINKS:
        assert link in anchors() if link.startswith("#") else (GUIDE.parent / link).is_file(), link
    assert "(docs/guide.md)" in README
