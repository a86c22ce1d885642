"""Pictures in messages are there before anybody looks at them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as Pictures

from app.errors import ImageError
from app.media.images import read_image
from app.messages import Image


@pytest.mark.parametrize("kind", ["png", "jpg", "gif"])
def test_what_was_only_opened_is_read_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture.{kind}"
    # More than is buffered when it is opened, and packed: a file that is not would only be mapped.
    Pictures.effect_noise((900, 600), 80).save(path)
    opened = Pictures.open(path)
    picture = Image(opened)
    path.write_bytes(b"")
    # Two threads that read an open file at once find half of it each.
    assert picture.source is opened and read_image(opened).size == (900, 600)


def test_a_damaged_one_says_so_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Pictures.effect_noise((90, 90), 50).save(path)
    path.write_bytes(path.read_bytes()[:900])
    picture = Image(Pictures.open(path))
    with pytest.raises(ImageError, match="damaged"):
        read_image(picture.source)


def test_a_file_is_not_touched(tmp_path: Path) -> None:
    assert Image(tmp_path / "nowhere.png").source == tmp_path / "nowhere.png"
