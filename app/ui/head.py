"""What the page's head holds: our scripts and their words."""

from __future__ import annotations

import json
from pathlib import Path

from app.texts.languages import AUTO, LANGUAGES
from app.ui.texts import TEXTS

STATIC = Path(__file__).parent / "static"
FIRST = "words.js"


def head(lang: str = AUTO) -> str:
    """The texts, then every script, by name after the one that the others need.

    Args:
        lang: in which the page opens for who has not chosen; "auto" takes the browser's.
    """
    scripts = [path.read_text("utf-8") for path in sorted(STATIC.glob("*.js"), key=_order)]
    return "".join(f"<script>{script}</script>\n" for script in [_texts(lang), *scripts])


def styles() -> list[Path]:
    """Every style sheet, by name."""
    return sorted(STATIC.glob("*.css"))


def _order(path: Path) -> tuple[bool, str]:
    return path.name != FIRST, path.name


def _texts(lang: str) -> str:
    """What words.js reads."""
    table = json.dumps(TEXTS, ensure_ascii=False).replace("</", "<\\/")
    languages, default = json.dumps(LANGUAGES), json.dumps(lang)
    return f"window.pageTexts = {table}; window.pageLanguages = {languages}; window.pageDefaultLanguage = {default};"
