"""What the page's head holds: our scripts and their words."""

from __future__ import annotations

import json
from pathlib import Path

from app.ui.texts import TEXTS

STATIC = Path(__file__).parent / "static"


def head() -> str:
    """The texts, then every script, by name."""
    scripts = [path.read_text("utf-8") for path in sorted(STATIC.glob("*.js"))]
    return "".join(f"<script>{script}</script>\n" for script in [_texts(), *scripts])


def styles() -> list[Path]:
    """Every style sheet, by name."""
    return sorted(STATIC.glob("*.css"))


def _texts() -> str:
    """`pageSay(key, {name: value})`: a text in the browser's language, from the one table."""
    table = json.dumps({key: list(pair) for key, pair in TEXTS.items()}, ensure_ascii=False).replace("</", "<\\/")
    return f"""
window.pageTexts = {table};
window.pageSay = (key, values = {{}}) => {{
  const chinese = (navigator.language || "en").toLowerCase().startsWith("zh");
  return window.pageTexts[key][+chinese].replace(/\\{{(\\w+)[^}}]*\\}}/g, (all, name) => values[name] ?? all);
}};
"""
