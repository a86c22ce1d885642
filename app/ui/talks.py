"""Conversations between the page and the browser's store.

The browser keeps them (`static/talk_*.js`); this side tells it what to keep and takes back what it has kept, which
is checked as the data of a stranger. The script speaks through one hidden button with a JSON text, and listens to one
hidden text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, TypeAlias

import gradio as gr

from app.errors import AppError, RequestError
from app.session import Session
from app.settings import Settings
from app.talks.checks import MAX_TEXT, clean
from app.talks.choice import read_choice
from app.talks.form import Json, media_of, title_of, to_json
from app.talks.reading import load_json, read_tree
from app.texts import Phrase
from app.tree import Tree
from app.ui import answering
from app.ui.attachments import MAX_FILES
from app.ui.bridge import not_understood
from app.ui.chat_tab import Chat
from app.ui.context import PRIVATE, Context
from app.ui.page_state import Page
from app.ui.payloads import Draft, draft_value
from app.ui.talk_files import FileHandlers
from app.ui.talk_media import MediaIds, uploaded_files, uploaded_media
from app.ui.texts import say

SAVE_EVERY = 2.0  # seconds between savings of an answer being written
NAME = re.compile("[0-9a-f]{32}")  # of a conversation
TAKE = "async (page) => [page, await window.talks.take()]"
START = "async (page) => [page, await window.talks.start()]"
GIVE = "async (page) => [page, await window.talks.takeGiven()]"
SAVE_FILE = "(file) => { window.talkFiles.download(file); }"
DRAFTED = "(box) => { window.talks.drafted(box); }"
KEEP = "(text) => { window.talks.keep(text); }"

Answer: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Bridge:
    """Hidden components that the script uses."""

    act: gr.Button
    give: gr.Button
    asked: gr.Textbox
    told: gr.Textbox
    file: gr.File


def add_talk_toggle() -> None:
    """The place of the button that unfolds the list."""
    gr.HTML('<div class="talk-bar"></div>', padding=False)


def add_talks() -> Bridge:
    """The place of the list, and what is hidden."""
    with gr.Column(scale=0, min_width=250, elem_classes="talk-column"):
        gr.HTML(f'<nav class="talk-list" aria-label="{say("talks", "en")}"></nav>', padding=False)
        act = gr.Button(visible="hidden", elem_classes="talk-act")
        give = gr.Button(visible="hidden", elem_classes="talk-give")
    return Bridge(act, give, gr.Textbox(visible=False), gr.Textbox(visible=False), gr.File(visible=False))


def connect_talks(
    demo: gr.Blocks,
    context: Context,
    bridge: Bridge,
    chat: Chat,
    answers: Sequence[Any],
    settings: Settings,
    changes: Sequence[Any] = (),
) -> None:
    """Bind the events.

    Args:
        answers: those that end when another conversation is opened.
        changes: those that change what is kept, but not the messages shown.
    """
    ids = MediaIds()
    handlers, files = TalkHandlers(context, ids), FileHandlers(context, settings, ids, bridge.file)
    outputs = [*context.outputs, *context.panel.restored, bridge.told]
    started = demo.load(handlers.start, [context.page, bridge.asked], outputs, js=START, **PRIVATE)
    acted = bridge.act.click(None, None, None, cancels=list(answers), queue=False, **PRIVATE).then(
        handlers.act, [context.page, bridge.asked], outputs, js=TAKE, trigger_mode="always_last", **PRIVATE
    )
    saved = chat.chatbot.change(handlers.save, context.page, bridge.told, trigger_mode="always_last", **PRIVATE)
    given = bridge.give.click(
        files.give, [context.page, bridge.asked], [bridge.told, bridge.file], js=GIVE, queue=False, **PRIVATE
    )
    bridge.file.change(None, bridge.file, None, js=SAVE_FILE, **PRIVATE)
    chat.box.change(None, chat.box, None, js=DRAFTED, **PRIVATE)
    noted = [event.then(handlers.save, context.page, bridge.told, **PRIVATE) for event in changes]
    for event in (started, acted, saved, given, *noted):
        event.then(None, bridge.told, None, js=KEEP, **PRIVATE)


class TalkHandlers:
    """What the script may ask for."""

    def __init__(self, context: Context, ids: MediaIds) -> None:
        self._context = context
        self._ids = ids

    def start(self, page: Page, text: str) -> Answer:
        """Open what was open before the page was loaded again."""
        return self.act(page, text) if text else self._nothing()

    def act(self, page: Page, text: str) -> Answer:
        """Open a conversation, begin a new one, or show another version of a turn."""
        deeds = {"open": self._open, "new": self._new, "step": self._step, "name": self._name}
        try:
            asked = load_json(text)
            deed = deeds.get(str(asked.get("do")))
            if deed is None:
                raise not_understood()
            _wait(page)
            return deed(page, asked)
        except AppError as error:
            answering.toast(page, error)
            return self._nothing()

    def save(self, page: Page) -> Any:
        """What the browser is to keep; while an answer is written, not too often."""
        deadline = monotonic() + SAVE_EVERY
        while page.session.busy and monotonic() < deadline:
            sleep(answering.INTERVAL)
        return self._told(page)

    def _open(self, page: Page, asked: Json) -> Answer:
        media = uploaded_media(asked.get("media"), self._context.max_file_size)
        tree = read_tree(asked.get("talk"), media) if asked.get("talk") else Tree()
        draft = _draft(page, asked)
        told = self._put(page, tree, asked)
        turns = page.session.turns
        params = next((turn.params for turn in reversed(turns) if turn.params), None)
        if asked.get("again"):  # it was open already: the options stay as the user has them
            params = None
        restored = self._context.panel.restore(params) if params else self._kept()
        return *self._view(page, draft), *restored, told

    def _new(self, page: Page, asked: Json) -> Answer:
        draft = _draft(page, asked)
        told = self._put(page, Tree(), asked)
        return *self._view(page, draft), *self._kept(), told

    def _name(self, page: Page, asked: Json) -> Answer:
        """A page just opened gets the name that the browser has for it."""
        if not page.session.turns:
            self._put(page, Tree(), asked)
        return self._nothing()

    def _step(self, page: Page, asked: Json) -> Answer:
        tree, key = page.session.tree, clean(asked.get("key"), 64)
        versions = tree.versions(key)
        at = versions.index(key) + (1 if asked.get("by") == 1 else -1)
        page.session.show(versions[min(max(at, 0), len(versions) - 1)])
        return *answering.shown(page), *self._kept(), self._told(page)

    def _put(self, page: Page, tree: Tree, asked: Json) -> str:
        """Put a conversation into the page; returns the one that is left, to be kept as it ended."""
        name = clean(asked.get("id"), 64)
        if not NAME.fullmatch(name):
            raise RequestError(Phrase("talk_no_name"), Phrase("do_not_made_here"))
        left = self._told(page, opens=name)
        session = Session(tree)
        session.user = page.session.user
        page.session, page.talk = session, name
        page.rejected = page.unsent = page.progress = None
        return left

    def _view(self, page: Page, draft: Draft) -> answering.View:
        chatbot, box, *rest = answering.idle(page)
        box["value"] = draft_value(draft) if draft.text or draft.files else None
        return chatbot, box, *rest

    def _kept(self) -> list[Any]:
        return [gr.skip() for _ in self._context.panel.restored]

    def _nothing(self) -> Answer:
        return *answering.unchanged(), *self._kept(), gr.skip()

    def _told(self, page: Page, opens: str = "") -> str:
        """What the browser is to keep, and which conversation is open."""
        tree = page.session.tree
        media = {self._ids.of(path): str(path) for path in media_of(tree)}
        told = {"id": page.talk, "open": opens or page.talk, "cleared": page.cleared, "title": title_of(tree)}
        return json.dumps({**told, "talk": to_json(tree, self._ids.of), "media": media}, ensure_ascii=False)


def _draft(page: Page, asked: Json) -> Draft:
    """What is to stand in the message box, cut if too long; the frames chosen of its clips go to the page."""
    draft = asked.get("draft")
    if not isinstance(draft, dict):
        return Draft()
    text, choices = draft.get("text"), draft.get("choices")
    for name, choice in list(choices.items())[:MAX_FILES] if isinstance(choices, dict) else []:
        with suppress(AppError):
            page.choices |= dict.fromkeys(uploaded_files([name]), read_choice(choice))
    return Draft(clean(text[:MAX_TEXT] if isinstance(text, str) else ""), uploaded_files(draft.get("files")))


def _wait(page: Page) -> None:
    """Until the answer that was cancelled has ended."""
    deadline = monotonic() + answering.STOP_PATIENCE
    while page.session.busy and monotonic() < deadline:
        sleep(answering.INTERVAL / 4)
