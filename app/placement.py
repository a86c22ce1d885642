"""Where attachments stand in a message: `[image 1]` and `[video 2]` in the text put that one there.

Images and videos are numbered apart, from 1, in the order of the attachments. Chinese marks work as well:
`[图 1]`, `[图片 1]`, `[视频 1]`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.messages import Image, Part, Text, Video

MARK = re.compile(r"\[\s*(?P<kind>image|图片|图|video|视频)\s*(?P<number>[0-9]{1,4})\s*\]", re.IGNORECASE)


def place_attachments(text: str, files: Sequence[Image | Video]) -> tuple[Part, ...]:
    """The parts of a message.

    Each attachment stands at its first mention; those never mentioned come first, in their order. A mark of a
    number that does not exist, and every mention after the first, stays text. One newline or space next to a
    placed attachment is dropped, and so are pieces of nothing but whitespace.
    """
    by_number = _numbered(files)
    placed: set[tuple[str, int]] = set()
    body: list[Part] = []
    start = 0
    for mark in MARK.finditer(text):
        key = _key(mark)
        if key not in by_number or key in placed:
            continue
        add_text(body, text[start : mark.start()], after=bool(placed), before=True)
        body.append(by_number[key])
        placed.add(key)
        start = mark.end()
    add_text(body, text[start:], after=bool(placed), before=False)
    return (*(file for key, file in by_number.items() if key not in placed), *body)


def marked_text(parts: Sequence[Part]) -> str:
    """The text that puts the same attachments at the same places again, for a box in which it is edited.

    Attachments before all text need no mark, unless the text itself holds one.
    """
    explicit = any(MARK.search(part.text) for part in parts if isinstance(part, Text))
    marks = _marks(parts)
    pieces: list[str] = []
    for part, mark in zip(parts, marks, strict=True):
        if isinstance(part, Text):
            pieces.append(part.text)
        elif explicit or pieces:
            pieces.append(mark)
    return "\n".join(pieces)


def attachments(parts: Sequence[Part]) -> tuple[Image | Video, ...]:
    """The images and videos among the parts, in their order."""
    return tuple(part for part in parts if not isinstance(part, Text))


def _numbered(files: Sequence[Image | Video]) -> dict[tuple[str, int], Image | Video]:
    counts = {"image": 0, "video": 0}
    numbered: dict[tuple[str, int], Image | Video] = {}
    for file in files:
        kind = "video" if isinstance(file, Video) else "image"
        counts[kind] += 1
        numbered[kind, counts[kind]] = file
    return numbered


def _marks(parts: Sequence[Part]) -> list[str]:
    names = iter(f"[{kind} {number}]" for kind, number in _numbered(attachments(parts)))
    return ["" if isinstance(part, Text) else next(names) for part in parts]


def _key(mark: re.Match[str]) -> tuple[str, int]:
    kind = "video" if mark["kind"].lower() in ("video", "视频") else "image"
    return kind, int(mark["number"])


def add_text(body: list[Part], piece: str, *, after: bool, before: bool) -> None:
    """Append a piece of text that stands `after` and/or `before` a placed attachment."""
    if after:
        piece = re.sub(r"\A(?:\r\n|\s)", "", piece)
    if before:
        piece = re.sub(r"(?:\r\n|\s)\Z", "", piece)
    if piece.strip():
        body.append(Text(piece))
