"""A conversation to be read elsewhere: Markdown, and one HTML page that holds its pictures and runs nothing."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from app.errors import MediaError
from app.messages import Part, Text, Video
from app.talks.answer_html import answer_html
from app.talks.files import file_of, named_files, type_of
from app.turn import Turn

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328;
  background: #fff; }
h2 { font-size: .85rem; margin: 1.6rem 0 .3rem; color: #57606a; }
.user { background: #f0f2f5; border-radius: 12px; padding: .7rem 1rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.answer { overflow-wrap: anywhere; }
.answer h1, .answer h2, .answer h3 { font-size: 1.1rem; margin: 1rem 0 .4rem; color: inherit; }
pre, code { font: .9em/1.45 ui-monospace, monospace; background: #f0f2f5; border-radius: 6px; }
code { padding: .1em .3em; }
pre { padding: .7rem 1rem; overflow-x: auto; }
pre code { padding: 0; background: none; font-size: 1em; }
table { display: block; overflow-x: auto; border-collapse: collapse; }
th, td { border: 1px solid #d0d7de; padding: .3rem .6rem; }
blockquote { margin: .5rem 0; padding-left: 1rem; border-left: 3px solid #d0d7de; }
img, video { display: block; max-width: 100%; max-height: 24rem; border-radius: 8px; margin: .4rem 0; }
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0d1117; } .user, pre, code { background: #1f2630; } h2 { color: #9aa4af; }
  th, td, blockquote { border-color: #3d444d; } a { color: #79b8ff; }
}
"""


def to_markdown(turns: Sequence[Turn], title: str, user: str, assistant: str) -> str:
    """Markdown; media are named as they are in the .zip.

    Args:
        user, assistant: what the two are called.
    """
    names = named_files(turns)

    def shown(part: Part) -> str:
        if isinstance(part, Text):
            return part.text
        path = file_of(part)
        place = names.get(path, "") if path else ""
        name = PurePosixPath(place).name
        return f"[{name}]({place})" if isinstance(part, Video) else f"![{name}]({place})"

    lines = [f"# {' '.join(title.split())}" if title else ""]
    for turn in turns:
        lines += [f"## {user}", *map(shown, turn.user.content)]
        lines += [f"## {assistant}", turn.answer] if turn.answer else []
    return "\n\n".join(filter(None, lines)) + "\n"


def to_html(
    turns: Sequence[Turn], title: str, user: str, assistant: str, language: str, unnamed: Callable[[int], str]
) -> str:
    """One HTML page without any script; its policy lets it load nothing from elsewhere.

    Args:
        user, assistant: what the two are called.
        unnamed: what a place in a picture is called that has no name, by its number.
    """
    body = [f"<h1>{html.escape(title)}</h1>"] if title else []
    for turn in turns:
        content = "".join(_shown(part) for part in turn.user.content)
        body.append(f'<h2>{html.escape(user)}</h2><div class="user">{content}</div>')
        if turn.answer:
            answer = answer_html(turn.answer, unnamed)
            body.append(f'<h2>{html.escape(assistant)}</h2><div class="answer">{answer}</div>')
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def file_name(title: str, extension: str) -> str:
    """A name for a file that every system takes."""
    words = re.sub(r"[^\w]+", "-", title, flags=re.UNICODE).strip("-")[:40]
    return f"{words or 'conversation'}.{extension}"


def _shown(part: Part) -> str:
    if isinstance(part, Text):
        return _text(part.text)
    path = file_of(part)
    try:
        if path is None:
            return ""
        kind, data = type_of(path)[1], base64.b64encode(path.read_bytes()).decode("ascii")
    except (MediaError, OSError):
        return ""
    url = f"data:{kind};base64,{data}"
    return f'<video controls src="{url}"></video>' if isinstance(part, Video) else f'<img alt="" src="{url}">'


def _text(text: str) -> str:
    return f'<div class="text">{html.escape(text)}</div>'
