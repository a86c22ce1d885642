"""What the generator draws with, read from the download folder."""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

from finetune.tiny import fonts, icons, photographs
from finetune.tiny.packed import Supplies

HELD_OUT = ("twemoji", "openmoji")


def gather(cache: Path) -> Supplies:
    """Fonts, drawings, printed text and photographs; the styles kept for measuring are left out."""
    sprites = {style: drawn for style, drawn in icons.load(cache).items() if style not in HELD_OUT}
    words = [thing.word for thing in icons.things()]
    faces = [str(path) for path in fonts.training_fonts(cache)]
    return Supplies(faces, sprites, words, printed(), photographs.load(cache))


def printed(limit: int = 4000) -> list[str]:
    """Lines of English: what Python's own library says of itself."""
    found: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        nodes = (node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)))
        text = "\n".join(ast.get_docstring(node) or "" for node in nodes)
        lines = (line.strip() for line in text.splitlines())
        found += [line for line in lines if line.isascii() and len(line.split()) >= 4]
    step = max(1, len(found) // limit)
    return found[::step][:limit]
