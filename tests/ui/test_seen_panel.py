"""What the model saw, after a reload: the messages that are there now, and whether they are those of then."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.backends.echo import EchoBackend
from app.messages import FrameChoice, Image, Message, Part, Text, Video
from app.sampling import SamplingParams
from app.seen import Piece, Seen
from app.session import Session
from app.talks.form import digest_of, to_json
from app.talks.reading import read_tree
from app.turn import Turn
from app.ui.seen_html import seen_html
from app.ui.seen_panel import asked

PARAMS = SamplingParams(seed=7)
PICTURE, CLIP = Image(Path("a.png")), Video(Path("a.mp4"), 8, FrameChoice(2, 8.0, fps=0.5, dropped=frozenset({3, 1})))


def media_id(path: Path) -> str:
    return f"id of {path.name}"


def talk() -> Session:
    session, backend = Session(), EchoBackend(delay=0)
    session.turns = [Turn(Message.of("user", medium), "yes", "done", params=PARAMS) for medium in (PICTURE, CLIP)]
    for text in ("second", "third"):
        list(session.send([Text(text)], PARAMS, backend))
    return session


def reloaded(session: Session) -> Session:
    """As a browser keeps it, which writes 2.0 as 2."""
    data = json.loads(json.dumps(to_json(session.tree, media_id)), parse_float=lambda text: short(float(text)))
    return Session(read_tree(data, {media_id(medium.source): medium for medium in (PICTURE, Video(CLIP.source))}))


def short(number: float) -> float:
    return int(number) if number.is_integer() else number


def last(session: Session) -> tuple[list[Message], bool]:
    messages, params, changed = asked(session, session.turns[-1], SamplingParams(), media_id)
    assert params == PARAMS
    return list(messages), changed


def test_what_was_asked_is_known_while_the_page_is_open() -> None:
    session = talk()
    before = last(session)
    session.edit_answer(session.turns[0].key, "another")
    assert last(session) == before == (list(session.turns[-1].asked), False)


def test_after_a_reload_the_same_is_asked() -> None:
    session = talk()
    assert last(reloaded(session)) == last(session)
    assert last(reloaded(reloaded(session))) == last(session)


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.edit_answer(session.turns[0].key, "another"),
        lambda session: session.delete(session.turns[1].key),
        lambda session: session.leave_out(1),
    ],
)
def test_a_change_before_or_after_the_reload_is_noticed(change: Callable[[Session], Any]) -> None:
    early = talk()
    change(early)
    late = reloaded(talk())
    change(late)
    for session in (reloaded(early), late):
        messages, changed = last(session)
        assert changed and messages == [*(session.messages()[:-2]), Message.of("user", "third")]


def test_a_conversation_that_was_kept_before_this_was_known_says_nothing() -> None:
    session = reloaded(talk())
    session.turns = [replace(turn, asked_digest="") for turn in session.turns]
    session.edit_answer(session.turns[0].key, "another")
    assert not last(session)[1]


@pytest.mark.parametrize("digest", [7, "", "0" * 63, "0" * 63 + "g", ["0" * 64]])
def test_a_digest_of_a_stranger_is_none(digest: Any) -> None:
    data = to_json(talk().tree, media_id)
    data["turns"][-1]["asked"] = digest
    assert read_tree(data, {}).path()[-1].asked_digest == ""


@pytest.mark.parametrize(
    "part",
    [
        Text("a.png"),
        Image(Path("b.png")),
        Video(CLIP.source, 8),
        replace(CLIP, max_frames=9),
        replace(CLIP, choice=replace(CLIP.choice, start=2.5)),
        replace(CLIP, choice=replace(CLIP.choice, dropped=frozenset({3}))),
    ],
)
def test_any_other_part_is_told_from_it(part: Part) -> None:
    def digest(*parts: Part) -> str:
        return digest_of([Message.of("user", *parts)], media_id)

    assert digest(CLIP) == digest(replace(CLIP, choice=replace(CLIP.choice, start=2.0, end=8)))
    assert len({digest(PICTURE), digest(CLIP), digest(part)}) == 3


@pytest.mark.parametrize(
    ("locale", "words", "then"),
    [("en", "this is what would be sent now", "Exactly as"), ("zh", "现在会发送", "完全一致")],
)
def test_the_dialog_says_that_the_conversation_was_changed(locale: Any, words: str, then: str) -> None:
    seen = Seen((1, 2), (), (Piece("text", "hi", 2),), 0, 10)
    turn, capabilities = Turn(Message.of("user", "hi"), "a", "done"), EchoBackend().capabilities
    page = seen_html(seen, turn, PARAMS, capabilities, locale, changed=True)
    assert words in page and then not in page
    page = seen_html(seen, turn, PARAMS, capabilities, locale)
    assert words not in page and then in page
