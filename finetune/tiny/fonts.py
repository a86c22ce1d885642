"""Open fonts for drawn text: families for training, and others that only the evaluation draws with.

`python -m finetune.tiny.fonts --cache DIR` fetches them from npm into DIR/fonts/. They are no part of the product.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from app.errors import AppError
from app.flags import report
from finetune.tiny.packages import fetch_package


@dataclass(frozen=True, slots=True)
class FontFamily:
    """One family: its npm package and the files that are taken from it."""

    name: str
    package: str
    version: str
    license: str
    files: tuple[str, ...]


def _google(name: str, version: str, *weights: str, license: str = "OFL-1.1") -> FontFamily:
    """A family of Google Fonts as Expo packs it, one folder per weight."""
    stem = name.replace(" ", "")
    files = tuple(f"{weight}/{stem}_{weight}.ttf" for weight in weights)
    return FontFamily(name, f"@expo-google-fonts/{name.lower().replace(' ', '-')}", version, license, files)


REGULAR, BOLD = "400Regular", "700Bold"
TRAINING_FAMILIES = (
    FontFamily(
        "DejaVu",
        "dejavu-fonts-ttf",
        "2.37.3",
        "Bitstream Vera licence, changes in the public domain",
        tuple(f"ttf/DejaVu{face}.ttf" for face in ("Sans", "Sans-Bold", "Serif", "SansMono")),
    ),
    _google("Arimo", "0.4.3", REGULAR, BOLD),
    _google("Tinos", "0.4.2", REGULAR, BOLD),
    _google("Cousine", "0.4.3", REGULAR),
    _google("Roboto", "0.4.3", REGULAR, BOLD),
    _google("Open Sans", "0.4.2", REGULAR),
    _google("Lato", "0.4.1", REGULAR, "900Black"),
    _google("Montserrat", "0.4.2", REGULAR, "600SemiBold"),
    _google("Fira Sans", "0.4.1", REGULAR),
    _google("Roboto Condensed", "0.4.2", REGULAR),
    _google("Oswald", "0.4.2", REGULAR),
    _google("Nunito", "0.4.2", REGULAR, BOLD),
    _google("Quicksand", "0.4.1", "500Medium"),
    _google("Lora", "0.4.2", REGULAR),
    _google("Merriweather", "0.4.2", REGULAR, BOLD),
    _google("PT Serif", "0.4.1", REGULAR),
    _google("Roboto Mono", "0.4.2", REGULAR),
    _google("Inconsolata", "0.4.2", REGULAR, BOLD),
)
HELD_OUT_FAMILIES = (
    _google("Work Sans", "0.4.2", REGULAR, "600SemiBold"),
    _google("Source Sans 3", "0.4.1", REGULAR),
    _google("Bitter", "0.4.2", REGULAR),
    _google("IBM Plex Mono", "0.4.1", REGULAR),
    _google("PT Sans Narrow", "0.4.1", REGULAR),
)


def fetch(cache: Path) -> None:
    """Download all families into cache/fonts/; what is there already stays.

    Raises:
        PackageError: npm is missing or cannot fetch a family.
    """
    training_fonts(cache)
    held_out_fonts(cache)


def training_fonts(cache: Path) -> list[Path]:
    """TrueType files that training pictures are drawn with, fetched if they are not in the cache."""
    return _files(TRAINING_FAMILIES, cache)


def held_out_fonts(cache: Path) -> list[Path]:
    """TrueType files that only the second drawer uses, fetched if they are not in the cache."""
    return _files(HELD_OUT_FAMILIES, cache)


def _files(families: tuple[FontFamily, ...], cache: Path) -> list[Path]:
    target = cache / "fonts"
    return [file for f in families for file in fetch_package(f.package, f.version, f.files, target)]


def main(argv: list[str] | None = None) -> int:
    """Command line: fetch the fonts and name them."""
    parser = argparse.ArgumentParser(prog="python -m finetune.tiny.fonts", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder that gets fonts/")
    try:
        cache = parser.parse_args(argv).cache
        for use, files in (("training", training_fonts(cache)), ("held out", held_out_fonts(cache))):
            print(f"{use}: {', '.join(file.stem for file in files)}")
    except AppError as error:
        return report(error, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
