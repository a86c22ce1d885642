"""A conversation as one .zip: its messages as JSON, all its versions, and the media; and such a .zip read back."""

from __future__ import annotations

import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from app.errors import AppError, RequestError
from app.messages import Image, Message, Part, Text, Video
from app.sampling import SamplingParams
from app.talks.checks import clean
from app.talks.completions import completion_messages
from app.talks.files import named_files
from app.talks.form import Json, MediaId, to_json
from app.talks.reading import MAX_JSON, MAX_PARTS, MAX_TURNS, Media, load_json, media_ids, missing, read_tree
from app.texts import Phrase
from app.tree import Tree
from app.turn import Turn

MESSAGES = "messages.json"
MAX_ENTRIES = 2100
MAX_TOTAL = 2 * 1024**3  # bytes of all media

# What a .zip that is none, or a damaged one, makes the library raise.
UNREAD = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError,
    OSError, NotImplementedError, EOFError, ValueError,
)  # fmt: skip

Store = Callable[[bytes], "Image | Video"]  # checks a medium and puts it where media are


def write_archive(tree: Tree, title: str, media_id: MediaId, target: BinaryIO) -> None:
    """Write a conversation; what is seen now is in "messages", every version in "conversation"."""
    # What is shown comes first: Markdown and code, which have nothing else, name the files as they are here.
    names = named_files([*tree.path(), *tree.turns.values()])
    content = {
        "title": title,
        "messages": completion_messages(tree.path(), lambda path: names.get(path, "")),
        "conversation": to_json(tree, media_id),
        "media": {media_id(path): name for path, name in names.items()},
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(MESSAGES, json.dumps(content, ensure_ascii=False, indent=1), zipfile.ZIP_DEFLATED)
        for path, name in names.items():
            archive.write(path, name)


def read_archive(source: Path, store: Store, max_file_size: int) -> tuple[str, Tree]:
    """Title and conversation of a .zip that anyone may have made; without our own form, of its messages alone.

    Args:
        store: called with the content of each medium; it raises what is no picture and no clip.
        max_file_size: bytes of one medium.

    Raises:
        AppError: no such .zip, or more in it than is allowed.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            if len(archive.infolist()) > MAX_ENTRIES:
                raise RequestError(Phrase("zip_many", limit=MAX_ENTRIES), Phrase("do_import_one"))
            content = load_json(_read(archive, MESSAGES, MAX_JSON).decode("utf-8", "replace"))
            reader = _Media(archive, store, max_file_size)
            return clean(content.get("title", ""), 1000), _tree(content, reader)
    except UNREAD as error:
        raise RequestError(Phrase("zip_unread"), Phrase("do_choose_made")) from error
    except RuntimeError as error:  # encrypted
        raise RequestError(Phrase("zip_password"), Phrase("do_no_password")) from error


class _Media:
    """Media of an archive by name, each read once, within what is allowed in all."""

    def __init__(self, archive: zipfile.ZipFile, store: Store, limit: int) -> None:
        self._archive, self._store, self._limit, self._left = archive, store, limit, MAX_TOTAL
        self._known: dict[str, Image | Video | None] = {}

    def get(self, name: Any) -> Image | Video | None:
        """The medium of a name; None if it is not there, or is no picture and no clip."""
        if not isinstance(name, str):
            return None
        if name not in self._known:
            self._known[name] = self._stored(name)
        return self._known[name]

    def _stored(self, name: str) -> Image | Video | None:
        limit = min(self._limit, self._left)
        try:
            data = _begin(self._archive, name, limit + 1)
            self._left -= min(len(data), limit)  # unpacked is unpacked, of use or not
            return self._store(data) if len(data) <= limit else None
        except AppError:
            return None


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """What an entry holds, whatever size it claims."""
    data = _begin(archive, name, limit + 1)
    if len(data) > limit:
        raise RequestError(Phrase("zip_large"), Phrase("do_leave_out"))
    return data


def _begin(archive: zipfile.ZipFile, name: str, count: int) -> bytes:
    """The first so many bytes of an entry."""
    try:
        with archive.open(name) as entry:
            return entry.read(count)
    except KeyError:
        raise RequestError(Phrase("zip_lacks", file=MESSAGES), Phrase("do_choose_made")) from None


def _tree(content: Json, reader: _Media) -> Tree:
    talk = content.get("conversation")
    if talk is None:
        return _from_messages(content.get("messages"), reader)
    names = content.get("media")
    listed: Mapping[str, Any] = names if isinstance(names, dict) else {}
    ids = media_ids(talk)
    if len(ids) > MAX_ENTRIES:
        raise RequestError(Phrase("zip_many", limit=MAX_ENTRIES), Phrase("do_import_one"))
    media: Media = {key: found for key in ids if (found := reader.get(listed.get(key)))}
    return read_tree(talk, media)


def _from_messages(messages: Any, reader: _Media) -> Tree:
    if not isinstance(messages, list) or not 0 < len(messages) <= 2 * MAX_TURNS:
        raise RequestError(Phrase("zip_messages"), Phrase("do_choose_made"))
    turns: list[Turn] = []
    system: list[str] = []
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role == "user":
            turns.append(Turn(Message("user", _parts(message.get("content"), reader)), state="stopped"))
        elif role == "assistant" and turns:
            turns[-1].answer += _text(message.get("content"), reader)
            turns[-1].state = "done"
        elif role in ("system", "developer"):
            system.append(_text(message.get("content"), reader))
        else:
            raise RequestError(Phrase("zip_role"), Phrase("do_roles"))
    prompt = clean("\n".join(system))  # as the API has several
    for turn in turns if prompt.strip() else []:
        turn.params = SamplingParams(system_prompt=prompt)
    return Tree.of(turns)


def _text(content: Any, reader: _Media) -> str:
    return "".join(part.text for part in _parts(content, reader) if isinstance(part, Text))


def _parts(content: Any, reader: _Media) -> tuple[Part, ...]:
    items = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(items, list) or not 0 < len(items) <= MAX_PARTS:
        raise RequestError(Phrase("zip_no_content"), Phrase("do_choose_made"))
    return tuple(_part(item, reader) for item in items)


def _part(item: Any, reader: _Media) -> Part:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "text":
        return Text(clean(item.get("text")))
    address = item.get(kind) if kind in ("image_url", "video_url") else None
    found = reader.get(address.get("url")) if isinstance(address, dict) else None
    return found or missing("video" if kind == "video_url" else "image")
