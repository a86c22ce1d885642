"""Pace, cancellation and what stays in the message box."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from app.backends.base import Backend
from app.backends.echo import EchoBackend
from app.errors import AppError, MediaError
from app.messages import Chunk, Message, Progress, Text
from app.sampling import SamplingParams
from app.session import Update
from app.turn import Turn
from app.ui import answering
from app.ui.answering import answer, paced, reject, settle
from app.ui.attachments import MAX_FILES, message_parts
from app.ui.page_state import Page
from app.ui.payloads import Draft

PARAMS = SamplingParams()


class Endless(EchoBackend):
    """Never ends by itself."""

    closed = False

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        try:
            while True:
                yield Chunk("word ")
        finally:
            self.closed = True


@pytest.fixture
def toasts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(answering.gr, "Warning", lambda message, **_: shown.append(message))
    return shown


def ask(page: Page, text: str, backend: Backend | None = None) -> list:
    updates = page.session.send([Text(text)], PARAMS, backend or EchoBackend(delay=0))
    return list(answer(page, updates, sent=Draft(text)))


class Clock:
    """The time that `paced` sees.

    Args:
        takes: seconds that it takes to show an update.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes: float = 0.0) -> None:
        self._now, self._takes = 0.0, takes
        monkeypatch.setattr(answering, "monotonic", lambda: self._now)

    def shown_of(self, chunks: Iterable[Chunk], times: Iterable[float], answer: str = "") -> str:
        """What is shown of chunks that come at these times; "-" is an update without text."""
        turn, shown = Turn(Message.of("user", "hi"), answer=answer), ""

        def updates() -> Iterator[Update]:
            for chunk, self._now in zip(chunks, times, strict=True):
                yield Update(turn, chunk)

        for update in paced(updates()):
            shown += update.chunk.text or update.chunk.thinking or "-"
            self._now += self._takes
        return shown


def test_the_box_is_emptied_when_the_answer_begins_and_freed_when_it_ends() -> None:
    views = ask(Page(), "hi")
    assert views[0][1]["value"] is None and views[0][1]["loading"] is True
    assert "value" not in views[-1][1] and views[-1][1]["loading"] is False
    assert (views[0][2]["visible"], views[0][3]["visible"]) == (False, True)
    assert (views[-1][2]["visible"], views[-1][3]["visible"]) == (True, False)


def test_not_every_token_reaches_the_page() -> None:
    page = Page()
    views = ask(page, "/long")
    words = page.session.turns[0].answer.split()
    assert len(words) > 1000
    assert len(views) < len(words) / 10


def test_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clock(monkeypatch).shown_of(map(Chunk, "abcde"), [10.0, 10.05, 10.11, 10.15, 10.3]) == "ace"


def test_a_long_answer_is_shown_in_larger_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Clock(monkeypatch).shown_of(map(Chunk, "abcd"), [10.0, 10.11, 10.29, 10.31], "x" * 30_000)
    assert shown == "ad"  # 0.3 s later


def test_updates_that_take_long_come_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Clock(monkeypatch, takes=0.2).shown_of(map(Chunk, "abcd"), [10.0, 10.3, 10.99, 11.01])
    assert shown == "ad"  # a second later, most of which the machine is free for what else it does


def test_the_parts_of_an_answer_are_not_looked_for_with_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(answering, "parts_of", lambda text: looked.append(text) or [text])
    shown = Clock(monkeypatch).shown_of([Chunk("x")] * 1000, [10 + number / 1000 for number in range(1000)])
    assert len(looked) == len(shown) == 10


@pytest.mark.parametrize(("place", "seconds"), [(1, 0.1), (7, 0.7), (200, 2.0)])
def test_who_is_far_back_in_the_queue_is_updated_less_often(
    monkeypatch: pytest.MonkeyPatch, place: int, seconds: float
) -> None:
    queued, times = Chunk(progress=Progress("queue", place)), [10.0, 9.99 + seconds, 10.01 + seconds, 10.02 + seconds]
    assert Clock(monkeypatch).shown_of([queued, queued, queued, Chunk("a")], times) == "--a"


def test_the_first_text_does_not_wait_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Chunk(progress=Progress("prefill"))
    chunks = [reading, reading, Chunk("a"), Chunk("b"), Chunk("c")]
    assert Clock(monkeypatch).shown_of(chunks, [10.0, 10.02, 10.04, 10.06, 10.15]) == "-ac"


def test_the_first_thought_does_not_wait_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [Chunk(), Chunk(thinking="hm"), Chunk("a")]
    assert Clock(monkeypatch).shown_of(chunks, [10.0, 10.02, 10.04]) == "-hm"


def test_closing_ends_the_generation() -> None:
    page, backend = Page(), Endless()
    views = answer(page, page.session.send([Text("hi")], PARAMS, backend))
    next(views)
    next(views)
    views.close()
    assert backend.closed
    assert page.session.turns[0].state == "stopped"
    assert not page.session.busy


def test_a_failed_message_comes_back_into_an_empty_box(toasts: list[str]) -> None:
    page = Page()
    ask(page, "/fail <b>")
    assert "Send one that starts otherwise." in toasts[0]
    assert settle(page, Draft())["value"] == {"text": "/fail <b>", "files": []}


def test_what_was_typed_meanwhile_is_not_overwritten(toasts: list[str]) -> None:
    page = Page()
    ask(page, "/fail")
    assert "value" not in settle(page, Draft("something new"))


def test_the_box_is_emptied_again_once_the_failed_message_is_answered(toasts: list[str]) -> None:
    page = Page()
    ask(page, "/fail")
    key = page.session.turns[0].key
    list(answer(page, page.session.edit(key, "fine", PARAMS, EchoBackend(delay=0))))
    assert settle(page, Draft("/fail"))["value"] is None
    assert page.unsent is None


def test_so_it_is_after_a_second_failure(toasts: list[str]) -> None:
    page = Page()
    ask(page, "/fail")
    list(answer(page, page.session.regenerate(PARAMS, EchoBackend(delay=0))))
    assert settle(page, Draft("/fail")) == answering.gr.skip()
    key = page.session.turns[0].key
    list(answer(page, page.session.edit(key, "fine", PARAMS, EchoBackend(delay=0))))
    assert settle(page, Draft("/fail"))["value"] is None


def test_nothing_is_settled_after_a_good_answer() -> None:
    page = Page()
    ask(page, "hi")
    assert "value" not in settle(page, Draft("next"))


@pytest.mark.parametrize("files", [(), (Path("picture.png"),)])
def test_a_message_that_the_box_still_shows_is_taken_out_once_it_is_answered(files: tuple[Path, ...]) -> None:
    page, sent = Page(), Draft("hi", files)
    list(answer(page, page.session.send([Text("hi")], PARAMS, EchoBackend(delay=0)), sent=sent))
    unsettled = page.unsettled
    assert settle(page, sent)["value"] is None
    assert unsettled == 0  # what a page that keeps up would be asked for nothing
    assert settle(page, sent) == answering.gr.skip()  # typed or attached once more


def test_what_was_typed_behind_a_message_with_files_stays(tmp_path: Path) -> None:
    page, sent = Page(), Draft("hi", (tmp_path / "picture.png",))
    list(answer(page, page.session.send([Text("hi")], PARAMS, EchoBackend(delay=0)), sent=sent))
    assert settle(page, Draft("hi there", sent.files)) == answering.gr.skip()


def test_a_second_send_leaves_the_first_alone(toasts: list[str]) -> None:
    page = Page()
    first = answer(page, page.session.send([Text("one")], PARAMS, Endless()))
    next(first)
    views = ask(page, "two")
    assert "still being written" in toasts[0]
    assert page.rejected is None and page.session.busy
    assert all("loading" not in view[1] for view in views)
    first.close()


def test_rejection_keeps_the_box_and_shows_a_bubble(toasts: list[str]) -> None:
    page = Page()
    view = reject(page, MediaError("A <bad> file."))
    assert "value" not in view[1]
    assert len(view[0]) == 1
    assert toasts == ["A &lt;bad&gt; file."]


def test_attachments_are_what_their_content_says(tmp_path: Path) -> None:
    fake = tmp_path / "photo.png"
    fake.write_text("text")
    with pytest.raises(AppError, match="Attachment 1: The file is text"):
        message_parts("", [fake], 1000)
    with pytest.raises(MediaError, match="allowed"):
        message_parts("", [fake], 2)
    with pytest.raises(MediaError, match="no longer on the server"):
        message_parts("", [tmp_path / "gone.png"], 1000)
    with pytest.raises(MediaError, match=f"{MAX_FILES} are allowed"):
        message_parts("", [fake] * (MAX_FILES + 1), 1000)
