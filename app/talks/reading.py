"""A conversation from JSON that anyone may have written: every field is checked, nothing is believed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeAlias, cast, get_args

from app.errors import AppError
from app.feedback import Rating
from app.messages import Image, Message, Notice, Part, Text, Usage, Video
from app.sampling import BY_NAME, SamplingParams
from app.talks.checks import clean, refused
from app.talks.choice import read_choice
from app.talks.failure import read_error, read_fixes
from app.talks.form import FORMAT, Json
from app.texts import Phrase
from app.tree import ROOT, Tree
from app.turn import State, Turn

MAX_JSON = 32 * 1024**2  # characters
MAX_TURNS = 2000  # versions included
MAX_PARTS = 200  # of one message
MAX_NOTICES = 16
MISSING = {"image": "missing_image", "video": "missing_video"}  # texts that stand for a medium that is gone

Media: TypeAlias = Mapping[str, Image | Video]  # by id; files that were checked as uploads are

_KEY = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def load_json(text: Any, limit: int = MAX_JSON) -> Json:
    """A JSON object from a text.

    Raises:
        RequestError: too long, no JSON, or no object.
    """
    if not isinstance(text, str) or len(text) > limit:
        raise refused(Phrase("talk_text"))
    try:
        data = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        raise refused(Phrase("talk_json")) from None
    if not isinstance(data, dict):
        raise refused(Phrase("talk_object"))
    return data


def read_tree(data: Any, media: Media) -> Tree:
    """The conversation of `to_json`. A medium that is not there any more becomes words that say so.

    Raises:
        RequestError: not of this form, or larger than a conversation may be.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise refused(Phrase("talk_format", format=FORMAT))
    listed = data.get("turns")
    if not isinstance(listed, list) or len(listed) > MAX_TURNS:
        raise refused(Phrase("talk_turns", limit=MAX_TURNS))
    turns: dict[str, Turn] = {}
    parents: dict[str, str] = {}
    for item in listed:
        turn, parent = _turn(item, media)
        if turn.key in turns or parent not in (ROOT, *turns.keys()):
            raise refused(Phrase("talk_order"))
        turns[turn.key], parents[turn.key] = turn, parent
    return Tree(turns, parents, _chosen(data.get("chosen"), parents))


def media_ids(data: Any) -> list[str]:
    """What a conversation asks for by id, each once; what is not well formed is left out."""
    turns = data.get("turns") if isinstance(data, dict) else None
    items = [item for item in turns if isinstance(item, dict)] if isinstance(turns, list) else []
    contents = [item["content"] for item in items if isinstance(item.get("content"), list)]
    ids = [part.get("media") for content in contents for part in content if isinstance(part, dict)]
    return list(dict.fromkeys(name for name in ids if isinstance(name, str) and name))


def missing(kind: str) -> Text:
    """The words for an "image" or "video" that is not there; in English, for the model gets them too."""
    return Text(str(Phrase(MISSING[kind])))


def _turn(item: Any, media: Media) -> tuple[Turn, str]:
    if not isinstance(item, dict) or not isinstance(key := item.get("key"), str) or not _KEY.fullmatch(key):
        raise refused(Phrase("talk_key"))
    state, parent = item.get("state"), item.get("parent")
    if state not in get_args(State) or not isinstance(parent, str):
        raise refused(Phrase("talk_state"))
    turn = Turn(
        Message("user", _content(item.get("content"), media)),
        clean(item.get("answer", "")),
        "stopped" if state == "pending" else cast("State", state),
        read_error(item.get("error")),
        _usage(item.get("usage")),
        _notices(item.get("notices")),
        key,
        clean(item.get("thinking", "")),
        read_params(item.get("params")),
        asked_digest=_digest(item.get("asked")),
        left_out=item.get("left_out") is True,
        fixes=read_fixes(item.get("fixes")),
        rating=_rating(item.get("rating")),
    )
    return turn, parent


def _content(content: Any, media: Media) -> tuple[Part, ...]:
    if not isinstance(content, list) or not 1 <= len(content) <= MAX_PARTS:
        raise refused(Phrase("talk_parts", limit=MAX_PARTS))
    return tuple(_part(part, media) for part in content)


def _part(part: Any, media: Media) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return Text(clean(part.get("text")))
    if kind not in ("image", "video") or not isinstance(part.get("media"), str):
        raise refused(Phrase("talk_part"))
    found = media.get(part["media"])
    if found is None or (kind == "video") != isinstance(found, Video):
        return found or missing(kind)
    if not isinstance(found, Video):
        return found
    frames = part.get("max_frames")
    most = None if frames is None else BY_NAME["max_frames"].check(frames)
    return Video(found.source, most, read_choice(part.get("choice")))


def _chosen(chosen: Any, parents: Mapping[str, str]) -> dict[str, str]:
    """What is shown behind each turn: what the data say where that is possible, else the newest."""
    given = chosen if isinstance(chosen, dict) else {}
    result = {parent: key for key, parent in parents.items()}
    for parent in result:
        child = given.get(parent)
        if isinstance(child, str) and parents.get(child) == parent:
            result[parent] = child
    return result


def _digest(digest: Any) -> str:
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else ""


def _rating(rating: Any) -> Rating | None:
    name, liked = (rating.get("id"), rating.get("liked")) if isinstance(rating, dict) else (None, None)
    if not isinstance(name, str) or not _KEY.fullmatch(name) or not (liked is None or isinstance(liked, bool)):
        return None
    return Rating(name, liked)


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    known = {item.name for item in fields(Usage)} - {"estimate"}
    amounts = {name: value for name, value in usage.items() if name in known and _is_amount(value)}
    return replace(Usage(vision_tokens=None), **amounts)  # what is unknown is not written


def _is_amount(value: Any) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12 and math.isfinite(value)
    )


def _notices(notices: Any) -> tuple[Notice, ...]:
    if not isinstance(notices, list):
        return ()
    good = [
        item
        for item in notices[:MAX_NOTICES]
        if isinstance(item, dict) and item.get("kind") == "turns_dropped" and isinstance(item.get("count"), int)
    ]
    return tuple(Notice("turns_dropped", max(0, min(item["count"], MAX_TURNS))) for item in good)


def read_params(params: Any) -> SamplingParams | None:
    """The options of a turn; None if they are none that this version knows."""
    if not isinstance(params, dict) or not all(isinstance(name, str) for name in params):
        return None
    try:
        cleaned = {name: clean(value) if isinstance(value, str) else value for name, value in params.items()}
        return SamplingParams.of(cast("Mapping[str, Any]", cleaned))
    except (AppError, TypeError, ValueError):
        return None
