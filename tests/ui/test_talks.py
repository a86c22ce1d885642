"""What the browser is told to keep, and what is taken back from it."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from fastapi import Request
from gradio.utils import get_upload_folder

from app.backends.base import Capabilities
from app.backends.echo import EchoBackend
from app.messages import FrameChoice, Image, Text, Video
from app.sampling import SamplingParams
from app.settings import Settings
from app.talks.form import to_json
from app.ui import talk_files
from app.ui.context import Context
from app.ui.decoding_panel import DecodingPanel
from app.ui.page_state import Page, new_id
from app.ui.talk_files import FileHandlers
from app.ui.talk_media import MediaIds, uploaded_files, uploaded_media
from app.ui.talks import TalkHandlers

PICTURE = Path(__file__).parents[2] / "assets" / "examples" / "pair_1.png"
PARAMS = SamplingParams(seed=5)


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def clip(uploads: Path) -> Path:
    return Path(shutil.copy(PICTURE.with_name("ball.mp4"), uploads / "a.mp4"))


@pytest.fixture
def picture(uploads: Path) -> Path:
    return Path(shutil.copy(PICTURE, uploads / "a.png"))


@pytest.fixture
def toasts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: shown.append(text))
    return shown


@pytest.fixture
def handlers() -> TalkHandlers:
    backend = EchoBackend(delay=0)
    with gr.Blocks():
        panel = DecodingPanel(backend.capabilities, {}, lambda key: key)
        return TalkHandlers(Context(backend, gr.State(), panel, (), gr.State(), 10**7), MediaIds())


def asked_page(picture: Path) -> Page:
    page = Page()
    list(page.session.send([Image(picture), Text("What is it?")], PARAMS, EchoBackend(delay=0)))
    return page


def told(handlers: TalkHandlers, page: Page) -> dict[str, Any]:
    return json.loads(handlers.save(page))


def open_in(handlers: TalkHandlers, page: Page, kept: dict[str, Any], **more: Any) -> tuple[Any, ...]:
    return handlers.act(page, json.dumps({"do": "open", "id": kept["id"], "talk": kept["talk"], **more}))


def test_what_is_kept_opens_again(handlers: TalkHandlers, picture: Path) -> None:
    first = asked_page(picture)
    kept = told(handlers, first)
    assert kept["title"] == "What is it?" and kept["media"] == {MediaIds().of(picture): str(picture)}

    page = Page()
    view = open_in(handlers, page, kept, media=kept["media"])
    assert page.talk == first.talk
    assert [(t.user, t.answer, t.params) for t in page.session.turns] == [
        (t.user, t.answer, PARAMS) for t in first.session.turns
    ]
    assert len(view[0]) == 2
    assert told(handlers, page)["talk"] == kept["talk"]


def test_what_is_left_is_kept_as_it_ended(handlers: TalkHandlers, picture: Path) -> None:
    page, name = asked_page(picture), new_id()
    before = page.talk
    left = json.loads(handlers.act(page, json.dumps({"do": "new", "id": name}))[-1])
    assert (left["id"], left["open"], len(left["talk"]["turns"])) == (before, name, 1)
    assert page.talk == name and page.session.turns == []


def test_versions_are_walked_and_do_not_run_over_the_end(handlers: TalkHandlers, picture: Path) -> None:
    page = asked_page(picture)
    old = page.session.turns[0].key
    list(page.session.regenerate(PARAMS, EchoBackend(delay=0)))
    new = page.session.turns[0].key
    for by in (-1, -1):
        handlers.act(page, json.dumps({"do": "step", "key": page.session.turns[0].key, "by": by}))
    assert page.session.turns[0].key == old
    handlers.act(page, json.dumps({"do": "step", "key": old, "by": 1}))
    assert page.session.turns[0].key == new


def test_a_draft_comes_back(handlers: TalkHandlers, picture: Path) -> None:
    page = Page()
    draft = {"text": "half a", "files": [str(picture), "/etc/passwd", 7]}
    view = handlers.act(page, json.dumps({"do": "new", "id": new_id(), "draft": draft}))
    assert view[1]["value"] == {"text": "half a", "files": [str(picture)]}


def test_the_frames_chosen_of_a_clip_come_back(handlers: TalkHandlers, clip: Path) -> None:
    page, chosen = Page(), FrameChoice(1.0, 8.0, count=4, dropped=frozenset({60}))
    list(page.session.send([Video(clip, choice=chosen), Text("Where?")], PARAMS, EchoBackend(delay=0)))
    kept, opened = told(handlers, page), Page()
    open_in(handlers, opened, kept, media=kept["media"])
    assert opened.session.turns[0].user == page.session.turns[0].user


def test_the_frames_chosen_of_a_clip_in_a_draft_come_back(handlers: TalkHandlers, clip: Path) -> None:
    page = Page()
    choices = {str(clip): {"count": 4, "dropped": [60]}, "/etc/passwd": {"count": 4}}
    draft = {"text": "", "files": [str(clip)], "choices": choices}
    handlers.act(page, json.dumps({"do": "new", "id": new_id(), "draft": draft}))
    assert page.choices == {clip: FrameChoice(count=4, dropped=frozenset({60}))}
    draft["choices"] = {str(clip): {"count": "all"}}
    view = handlers.act(page, json.dumps({"do": "new", "id": new_id(), "draft": draft}))
    assert view[1]["value"]["files"] == [str(clip)]


def test_a_draft_that_is_too_long_is_cut(handlers: TalkHandlers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ui.talks.MAX_TEXT", 10)
    page, name = Page(), new_id()
    draft = {"text": "half a question", "files": []}
    view = handlers.act(page, json.dumps({"do": "open", "id": name, "draft": draft}))
    assert (page.talk, view[1]["value"]["text"]) == (name, "half a que")
    draft["text"] = 7  # type: ignore[assignment]
    assert handlers.act(page, json.dumps({"do": "new", "id": name, "draft": draft}))[1]["value"] is None


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "[]",
        "{}",
        '{"do": "_told"}',
        '{"do": "open", "id": "x"}',
        '{"do": "open", "id": {"a": 1}}',
        '{"do": "open", "id": "' + "0" * 32 + '", "talk": {"format": 1}}',
        '{"do": "step", "key": "nonsense", "by": 1}',
        '{"do": "new"}',
    ],
)
def test_anything_else_changes_nothing(handlers: TalkHandlers, picture: Path, toasts: list[str], asked: str) -> None:
    page = asked_page(picture)
    before = (page.session, page.talk, page.session.turns)
    handlers.act(page, asked)
    assert len(toasts) == 1
    assert (page.session, page.talk, page.session.turns) == before


def test_nothing_but_uploads_is_opened(uploads: Path, picture: Path, tmp_path: Path) -> None:
    outside = Path(shutil.copy(PICTURE, tmp_path / "outside.png"))
    text = uploads / "a.txt"
    text.write_text("no picture")
    given = {"a": str(picture), "b": str(outside), "c": "/etc/passwd", "d": f"{uploads}/../outside.png", "e": str(text)}
    given |= {"f": {"path": str(outside)}, "g": ["x"], "h": "a\0b", "i": None}  # type: ignore[dict-item]
    assert uploaded_media(given, 10**7) == {"a": Image(picture)}
    assert uploaded_media(given, 10) == {}
    assert uploaded_media([1], 10) == {} and uploaded_files("ab") == ()
    assert uploaded_files(list(given.values())) == (picture, text)  # checked for what it is when it is sent


def test_a_file_that_is_gone_has_no_name(tmp_path: Path) -> None:
    assert MediaIds().of(tmp_path / "gone.png") == ""


def test_a_picture_keeps_its_name_when_the_upload_was_removed(handlers: TalkHandlers, picture: Path) -> None:
    page = asked_page(picture)
    kept = told(handlers, page)
    picture.unlink()
    assert told(handlers, page) == kept
    left = json.loads(handlers.act(page, json.dumps({"do": "new", "id": new_id()}))[-1])
    assert left["talk"] == kept["talk"]


def test_an_upload_that_is_opened_again_lives_on(picture: Path) -> None:
    before = picture.stat()
    time.sleep(0.05)
    assert uploaded_media({"a": str(picture)}, 10**7)
    opened = picture.stat()
    assert opened.st_ctime_ns > before.st_ctime_ns and opened.st_mtime_ns == before.st_mtime_ns
    time.sleep(0.05)
    assert uploaded_files([str(picture)])
    assert picture.stat().st_ctime_ns > opened.st_ctime_ns


class OfTheLibrary(EchoBackend):
    """A model whose class has no chat."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, has_chat=False)


def request_for(path: str, root_path: str = "", **headers: str) -> gr.Request:
    """What the handlers are told of a request to 127.0.0.1:8885, where the server is."""
    named = {"host": "127.0.0.1:8885"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http", "scheme": "http", "method": "POST", "path": path, "query_string": b"", "root_path": root_path,
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "app": SimpleNamespace(root_path=root_path),
    }  # fmt: skip
    return gr.Request(Request(scope))


RUN = request_for("/gradio_api/run/give")


def file_handlers(backend: EchoBackend, settings: Settings) -> FileHandlers:
    with gr.Blocks():
        panel = DecodingPanel(backend.capabilities, {}, lambda key: key)
        context = Context(backend, gr.State(), panel, (), gr.State(), 10**7)
        return FileHandlers(context, settings, MediaIds(), gr.File())


def python_of(page: Page, backend: EchoBackend, request: gr.Request = RUN) -> list[str]:
    """The code that is shown for the page's last turn."""
    handlers = file_handlers(backend, Settings(model="x", backend="echo"))
    text, _ = handlers.give(page, json.dumps({"do": "python", "key": page.session.turns[-1].key}), request)
    return json.loads(text)["python"]


@pytest.mark.parametrize(("backend", "count"), [(OfTheLibrary(), 1), (EchoBackend(), 2)], ids=["none", "chat"])
def test_a_model_of_the_library_has_no_chat_to_call(picture: Path, backend: EchoBackend, count: int) -> None:
    codes = python_of(asked_page(picture), backend)
    assert len(codes) == count and "client.chat.completions" in codes[-1]
    assert ("model.chat" in codes[0]) is (count == 2)


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        (RUN, "http://127.0.0.1:8885/v1"),
        (request_for("/gradio_api/run/give", host="box.local:9000"), "http://box.local:9000/v1"),
        (request_for("/gradio_api/run/give", "https://host/demo"), "https://host/demo/v1"),
        (request_for("/gradio_api/run/give", "https://host/demo/"), "https://host/demo/v1"),
        (request_for("/demo/gradio_api/run/give", "/demo"), "http://127.0.0.1:8885/demo/v1"),
        (
            request_for("/gradio_api/run/give", "/demo", x_forwarded_host="host", x_forwarded_proto="https"),
            "https://host/demo/v1",
        ),
        (
            request_for("/gradio_api/run/give", x_forwarded_host="name.hf.space", x_forwarded_proto="https,http"),
            "https://name.hf.space/v1",
        ),
    ],
)
def test_the_api_is_where_the_page_was_reached(picture: Path, request_: gr.Request, url: str) -> None:
    code = python_of(asked_page(picture), EchoBackend(), request_)[-1]
    assert f"OpenAI(base_url='{url}'," in code


def test_files_are_called_in_code_as_in_the_zip(picture: Path, uploads: Path) -> None:
    page = asked_page(picture)
    other = Path(shutil.copy(PICTURE, uploads / "same.png"))  # the browser keeps one of them
    third = Path(shutil.copy(PICTURE.with_name("pair_2.png"), uploads / "b.png"))
    list(page.session.send([Image(other), Image(third), Text("And?")], PARAMS, EchoBackend(delay=0)))
    kept = to_json(page.session.tree, MediaIds().of)
    media = {MediaIds().of(path): str(path) for path in (picture, third)}
    handlers = file_handlers(EchoBackend(), Settings(model="x", backend="echo"))
    asked = json.dumps({"do": "export", "form": "zip", "talk": kept, "media": media})
    with zipfile.ZipFile(handlers.give(page, asked, RUN)[1]) as archive:
        assert archive.read("media/image_2.png") == third.read_bytes()
    code = python_of(page, EchoBackend())[0]
    assert code.count("image_1.png") == 2 and code.count("image_2.png") == 1 and "image_3" not in code


def test_exported_files_go_with_their_folders() -> None:
    handlers = file_handlers(EchoBackend(delay=0), Settings(model="x", backend="echo"))
    old, new = handlers._path("old.md"), handlers._path("new.md")
    old.write_text("a")
    new.write_text("b")
    os.utime(old, (0, 0))
    assert handlers._path("next.md").parent.is_dir()
    assert not old.parent.exists() and new.exists()


def test_two_exports_may_clean_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = file_handlers(EchoBackend(delay=0), Settings(model="x", backend="echo"))
    old = handlers._path("old.md")
    old.write_text("a")

    def other() -> float:
        old.unlink(missing_ok=True)
        return 1e12

    monkeypatch.setattr(talk_files.time, "time", other)
    assert handlers._path("next.md").parent.is_dir()


def test_the_page_that_starts_anew_keeps_nothing(handlers: TalkHandlers) -> None:
    page = Page()
    handlers.start(page, "")
    assert told(handlers, page)["talk"]["turns"] == []
