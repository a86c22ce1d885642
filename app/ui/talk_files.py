"""What leaves and enters the page as a file or as code: export, import, "copy as Python"."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio.route_utils import API_PREFIX, get_root_url
from gradio.utils import get_upload_folder

from app.errors import AppError, RequestError
from app.messages import Image, Part, Text, Video
from app.settings import Settings
from app.talks.archive import read_archive, write_archive
from app.talks.checks import clean
from app.talks.files import file_of, type_of
from app.talks.form import Json, media_of, title_of, to_json
from app.talks.reading import load_json, read_tree
from app.talks.share import file_name, to_html, to_markdown
from app.talks.snippet import chat_code, openai_code
from app.texts import Phrase
from app.tree import Tree
from app.turn import Turn
from app.ui import answering
from app.ui.api import uploaded_file
from app.ui.attachments import attachment
from app.ui.bridge import not_understood
from app.ui.context import Context
from app.ui.page_state import Page, new_id
from app.ui.talk_media import MediaIds, uploaded_media
from app.ui.texts import Locale, say

KEPT = 60.0  # seconds that a written file stays here; Gradio has its own copy by then


class FileHandlers:
    """What the script may ask for, apart from changing what is open; an answer being written goes on.

    Args:
        file: the hidden component through which files are handed over.
    """

    def __init__(self, context: Context, settings: Settings, ids: MediaIds, file: gr.File) -> None:
        self._context, self._settings, self._ids, self._file = context, settings, ids, file
        self._folder = TemporaryDirectory(prefix="talks-")

    def give(self, page: Page, text: str, request: gr.Request) -> tuple[Any, Any]:
        """What is told to the script, and a file to download."""
        deeds: Mapping[str, Callable[[Page, Json], tuple[Any, Any]]] = {
            "python": partial(self._python, _address(request)), "export": self._export, "import": self._import,
        }  # fmt: skip
        try:
            asked = load_json(text)
            deed = deeds.get(str(asked.get("do")))
            if deed is None:
                raise not_understood()
            return deed(page, asked)
        except AppError as error:
            answering.toast(page, error)
            return gr.skip(), gr.skip()

    def _python(self, address: str, page: Page, asked: Json) -> tuple[str, Any]:
        turns = self._as_exported(_until(page.session.turns, clean(asked.get("key"), 64)))
        capabilities = self._context.backend.capabilities
        codes = [openai_code(turns, capabilities, f"{address}/v1")]
        if capabilities.has_chat:
            codes.insert(0, chat_code(turns, capabilities, self._settings.model))
        return json.dumps({"python": codes, "at": time.monotonic()}), gr.skip()

    def _as_exported(self, turns: list[Turn]) -> list[Turn]:
        """The turns with one file for all of the same content, as a .zip has them."""
        first: dict[str, Path] = {}

        def one(part: Part) -> Part:
            path = file_of(part)
            if path is None or isinstance(part, Text):
                return part
            return replace(part, source=first.setdefault(self._ids.of(path), path))

        return [replace(turn, user=replace(turn.user, content=tuple(map(one, turn.user.content)))) for turn in turns]

    def _export(self, page: Page, asked: Json) -> tuple[Any, str]:
        tree = read_tree(asked.get("talk"), uploaded_media(asked.get("media"), self._context.max_file_size))
        title, form = clean(asked.get("title", ""), 1000) or title_of(tree), asked.get("form")
        names = {"user": say("user", page.locale), "assistant": say("assistant", page.locale)}
        path = self._path(file_name(title, {"zip": "zip", "markdown": "md"}.get(str(form), "html")))
        if form == "zip":
            with path.open("wb") as target:
                write_archive(tree, title, self._ids.of, target)
        elif form == "markdown":
            path.write_text(to_markdown(tree.path(), title, **names), "utf-8")
        else:
            unnamed = partial(_unnamed, page.locale)
            text = to_html(tree.path(), title, language=page.locale, unnamed=unnamed, **names)
            path.write_text(text, "utf-8")
        return gr.skip(), str(path)

    def _import(self, page: Page, asked: Json) -> tuple[str, Any]:
        limit = self._context.max_file_size
        title, tree = read_archive(uploaded_file(asked.get("file")), self._store, limit)
        return json.dumps(self._imported(title, tree), ensure_ascii=False), gr.skip()

    def _imported(self, title: str, tree: Tree) -> Json:
        media = {self._ids.of(path): str(path) for path in media_of(tree)}
        talk = to_json(tree, self._ids.of)
        return {"imported": {"id": new_id(), "name": title, "title": title_of(tree), "talk": talk, "media": media}}

    def _store(self, data: bytes) -> Image | Video:
        """Put a medium where uploads are, checked as they are; Gradio removes it with them."""
        folder = Path(get_upload_folder()) / hashlib.sha256(data).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / "imported"
        written.write_bytes(data)
        path = written.rename(folder / f"imported.{type_of(written)[0]}")
        self._file.temp_files.add(str(path))
        return attachment(path, self._context.max_file_size)

    def _path(self, name: str) -> Path:
        folder = Path(self._folder.name)
        for old in folder.iterdir():
            with suppress(OSError):  # another export may be removing the same
                for file in old.iterdir():
                    if time.time() - file.stat().st_mtime > KEPT:
                        file.unlink()
                        old.rmdir()
        (folder / (fresh := new_id())).mkdir()
        return folder / fresh / name


def _address(request: gr.Request) -> str:
    """Where the page was reached, proxies and the path under them included; without a slash at its end."""
    asked = request.request
    route = asked.url.path[max(0, asked.url.path.find(API_PREFIX)) :]
    return get_root_url(asked, route, asked.app.root_path)


def _unnamed(locale: Locale, number: int) -> str:
    """What a place is called that the model gave no name."""
    return say("box_unnamed", locale, number=number)


def _until(turns: list[Turn], key: str) -> list[Turn]:
    """The turns up to one."""
    for number, turn in enumerate(turns, 1):
        if turn.key == key:
            return turns[:number]
    raise RequestError(Phrase("message_gone"), Phrase("do_reload"))
