"""Everyday things drawn by open icon sets, as sprites.

`python -m finetune.tiny.icons --cache DIR` downloads the sets, renders the things of objects.tsv and writes
DIR/icons.npz; what needs them does so by itself. The sets are used to draw training and evaluation pictures and are no
part of the product.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.errors import AppError
from app.flags import report
from finetune.tiny.packages import PackageError, fetch_package

SIZE = 96
LIST = Path(__file__).with_name("objects.tsv")

# Words that take no article: plurals and what is not counted.
BARE = frozenset(
    "grapes cherries fries pancakes bacon popcorn spaghetti sushi garlic bread corn broccoli cheese chocolate milk "
    "coffee beer wine tennis bowling books scissors jeans soap fire".split()
)


@dataclass(frozen=True, slots=True)
class IconSet:
    """One drawing style: an npm package of Iconify, and what its licence asks for."""

    name: str
    version: str
    license: str
    author: str
    source: str

    @property
    def package(self) -> str:
        """Name on npm."""
        return f"@iconify-json/{self.name}"


_GOOGLE = "Google Inc. (Noto Emoji)"
_MICROSOFT = "Microsoft Corporation (Fluent Emoji)"
TRAINING_SETS = (
    IconSet("noto", "1.2.9", "Apache-2.0", _GOOGLE, "https://github.com/googlefonts/noto-emoji"),
    IconSet("noto-v1", "1.2.5", "Apache-2.0", _GOOGLE, "https://github.com/googlefonts/noto-emoji"),
    IconSet("fluent-emoji", "1.2.7", "MIT", _MICROSOFT, "https://github.com/microsoft/fluentui-emoji"),
    IconSet("fluent-emoji-flat", "1.2.6", "MIT", _MICROSOFT, "https://github.com/microsoft/fluentui-emoji"),
    IconSet("fxemoji", "1.2.2", "Apache-2.0", "Mozilla (FxEmojis)", "https://github.com/mozilla/fxemoji"),
    IconSet("emojione", "1.2.3", "CC-BY-4.0", "EmojiOne", "https://github.com/EmojiTwo/emojitwo"),
    IconSet(
        "streamline-emojis", "1.2.4", "CC-BY-4.0", "Streamline", "https://github.com/webalys-hq/streamline-vectors"
    ),
)
HELD_OUT_SETS = (
    IconSet("twemoji", "1.2.5", "CC-BY-4.0", "Twitter, Inc. and contributors", "https://github.com/twitter/twemoji"),
    IconSet("openmoji", "1.2.29", "CC-BY-SA-4.0", "OpenMoji", "https://github.com/hfg-gmuend/openmoji"),
)
TRAINING_STYLES = tuple(icon_set.name for icon_set in TRAINING_SETS)


@dataclass(frozen=True, slots=True)
class Thing:
    """One everyday thing: name of its icon, its English word, its Chinese word."""

    icon: str
    word: str
    chinese: str

    @property
    def phrase(self) -> str:
        """The word as an answer gives it: "a dog", "an owl", "scissors"."""
        if self.word in BARE:
            return self.word
        return f"{'an' if self.word[0] in 'aeio' or self.word == 'umbrella' else 'a'} {self.word}"


def things() -> tuple[Thing, ...]:
    """The list of objects.tsv. Two words, "fish" and "umbrella", have two icons each."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return tuple(Thing(*line.split("\t")) for line in lines if line and not line.startswith("#"))


def load(cache: Path) -> dict[str, dict[str, np.ndarray]]:
    """Sprites of every style by word; of a word with two icons the first one that the style has.

    They are fetched and rendered if they are not in the cache.

    Returns:
        style -> word -> (96, 96, 4) uint8, RGBA, not premultiplied.

    Raises:
        PackageError: as `build`.
    """
    return _by_word(cache, reverse=True)


def load_seconds(cache: Path) -> dict[str, dict[str, np.ndarray]]:
    """Like `load`, only the second icons of words that have two, such as the umbrella with rain drops."""
    firsts, lasts = load(cache), _by_word(cache, reverse=False)
    return {
        style: {word: sprite for word, sprite in sprites.items() if not np.array_equal(sprite, firsts[style][word])}
        for style, sprites in lasts.items()
    }


def _by_word(cache: Path, reverse: bool) -> dict[str, dict[str, np.ndarray]]:
    path = cache / "icons.npz"
    if not path.exists() or not _is_complete(path):
        build(cache)
    listed = things()
    sprites: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path) as archive:
        drawn = {name: archive[name] for name in archive.files}
    for style in dict.fromkeys(name.partition("/")[0] for name in drawn):
        ordered = listed[::-1] if reverse else listed
        sprites[style] = {t.word: drawn[f"{style}/{t.icon}"] for t in ordered if f"{style}/{t.icon}" in drawn}
    return sprites


def _is_complete(path: Path) -> bool:
    """Whether every set is there: a cache of an earlier version may lack some."""
    with np.load(path) as archive:
        styles = {name.partition("/")[0] for name in archive.files}
    return styles >= {icon_set.name for icon_set in (*TRAINING_SETS, *HELD_OUT_SETS)}


def _find(icon: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """The icon's entry under its name, an alias, or the name as sets without hyphens write it."""
    joined = icon.replace("-", "")
    stem = joined.removesuffix("face")
    # fxemoji has names of its own for some things.
    others = {"automobile": "redcar", "redapple": "apple"}.get(joined, joined)
    for name in (icon, joined, stem, f"{stem}face", others):
        while name not in data["icons"] and name in data.get("aliases", {}):
            name = data["aliases"][name]["parent"]
        if name in data["icons"]:
            return data["icons"][name]
    return None


def _render(entry: Mapping[str, Any], data: Mapping[str, Any]) -> np.ndarray:
    try:
        import resvg_py
    except ImportError:
        hint = "pip install -r requirements-finetune.txt"
        raise PackageError("resvg_py is not installed; it renders the icons.", hint) from None
    width, height = (entry.get(side, data.get(side, 16)) for side in ("width", "height"))
    view = f"{entry.get('left', 0)} {entry.get('top', 0)} {width} {height}"
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{SIZE}" height="{SIZE}" viewBox="{view}">{entry["body"]}</svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def render_set(icon_set: IconSet, cache: Path) -> dict[str, np.ndarray]:
    """Download one set and render what it has of the list: icon -> (96, 96, 4) uint8."""
    (file,) = fetch_package(icon_set.package, icon_set.version, ["icons.json"], cache / "sets" / icon_set.name)
    data = json.loads(file.read_text(encoding="utf-8"))
    entries = {thing.icon: _find(thing.icon, data) for thing in things()}
    sprites = {icon: _render(entry, data) for icon, entry in entries.items() if entry}
    return {icon: sprite for icon, sprite in sprites.items() if sprite[..., 3].any()}


def build(cache: Path) -> dict[str, int]:
    """Write cache/icons.npz; returns the number of drawings of each style.

    Raises:
        PackageError: npm is missing or cannot fetch a set, or nothing is there to render it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    sprites = {icon_set.name: render_set(icon_set, cache) for icon_set in (*TRAINING_SETS, *HELD_OUT_SETS)}
    flat: dict[str, Any] = {
        f"{style}/{icon}": sprite for style, icons in sprites.items() for icon, sprite in icons.items()
    }
    # Several processes that train together may do this at once.
    partial = cache / f"icons.{os.getpid()}.npz"
    np.savez_compressed(partial, **flat)
    partial.rename(cache / "icons.npz")
    return {style: len(icons) for style, icons in sprites.items()}


def main(argv: list[str] | None = None) -> int:
    """Command line: download, render, say how many drawings each style has."""
    parser = argparse.ArgumentParser(prog="python -m finetune.tiny.icons", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder for downloads and icons.npz")
    try:
        counts = build(parser.parse_args(argv).cache)
    except AppError as error:
        return report(error, 1)
    for style, count in counts.items():
        print(f"{style:20} {count} drawings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
