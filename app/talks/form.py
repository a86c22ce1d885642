"""A conversation as JSON: what the browser keeps, and what `app.talks.reading` takes back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

from app.boxes import plain_words
from app.messages import Message, Part, Text, Video
from app.sampling import BY_NAME, SamplingParams
from app.talks.choice import choice_json
from app.talks.failure import error_json, fixes_json
from app.tree import Tree
from app.turn import Turn

Json: TypeAlias = dict[str, Any]
MediaId: TypeAlias = Callable[[Path], str]  # from a file to the name under which its content is kept

FORMAT = 1
TITLE = 60  # characters


def to_json(tree: Tree, media_id: MediaId) -> Json:
    """All versions of a conversation; media by their ids alone."""
    turns = [_turn(turn, tree.parents[key], media_id) for key, turn in tree.turns.items()]
    # In the order of the turns, as reading has it: what is read and told again is the same text.
    chosen = {parent: tree.chosen[parent] for parent in tree.parents.values() if parent in tree.chosen}
    return {"format": FORMAT, "turns": turns, "chosen": chosen}


def title_of(tree: Tree) -> str:
    """The first question in short, without the markup of places; empty if it has no text."""
    path = tree.path()
    text = " ".join(plain_words(path[0].user.text).split()) if path else ""
    if len(text) <= TITLE:
        return text
    return re.sub(r"\s\S*$", "", text[: TITLE - 1]) + "…"


def media_of(tree: Tree) -> list[Path]:
    """All files of a conversation, each once."""
    parts = [part for turn in tree.turns.values() for part in turn.user.content if not isinstance(part, Text)]
    return list(dict.fromkeys(part.source for part in parts if isinstance(part.source, Path)))


def params_json(params: SamplingParams) -> Json:
    """The options of the panel, and the adapter."""
    return {name: getattr(params, name) for name in (*BY_NAME, "adapter")}


def digest_of(messages: Sequence[Message], media_id: MediaId) -> str:
    """What tells these messages from others, media by their content; 64 digits in hex."""
    form = json.dumps([[message.role, [_part(part, media_id) for part in message.content]] for message in messages])
    # A number that a browser has kept comes back as 2 where it was 2.0.
    plain = json.dumps(json.loads(form, parse_int=float), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _turn(turn: Turn, parent: str, media_id: MediaId) -> Json:
    form: Json = {"key": turn.key, "parent": parent, "state": "stopped" if turn.state == "pending" else turn.state}
    form |= {"content": [_part(part, media_id) for part in turn.user.content], "answer": turn.answer}
    if turn.thinking:
        form["thinking"] = turn.thinking
    if turn.error:
        form["error"] = error_json(turn.error)
    if turn.fixes:
        form["fixes"] = fixes_json(turn.fixes)
    if turn.usage:
        usage = asdict(replace(turn.usage, estimate=None))  # what was expected is of no use later
        form["usage"] = {name: value for name, value in usage.items() if value is not None}
    if turn.notices:
        form["notices"] = [{"kind": notice.kind, "count": notice.count} for notice in turn.notices]
    if turn.params:
        form["params"] = params_json(turn.params)
    if turn.rating:
        form["rating"] = {"id": turn.rating.id, "liked": turn.rating.liked}
    if turn.left_out:
        form["left_out"] = True
    if turn.asked and not turn.asked_digest:  # once: all of a conversation is told with every answer
        turn.asked_digest = digest_of(turn.asked, media_id)
    if turn.asked_digest:
        form["asked"] = turn.asked_digest
    return form


def _part(part: Part, media_id: MediaId) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = "video" if isinstance(part, Video) else "image"
    form: Json = {"type": kind, "media": media_id(part.source) if isinstance(part.source, Path) else ""}
    if isinstance(part, Video) and part.max_frames is not None:
        form["max_frames"] = part.max_frames
    if isinstance(part, Video) and (choice := choice_json(part.choice)):
        form["choice"] = choice
    return form
