from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Generator, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from threading import Event, Thread

import pytest

from app.backends.base import Backend, Capabilities, LoadStatus
from app.errors import AppError, GenerationError, OutOfMemoryError, RequestError
from app.messages import Chunk, Image, Message, Notice, Part, Text, Usage, Video
from app.sampling import SamplingParams
from app.session import Session, Turn, Update

PARAMS = SamplingParams()
USAGE = Usage(new_tokens=3)
A, B = Image(Path("a.png")), Image(Path("b.png"))


class Script(Backend):
    """Plays one script per request: a str is a chunk's text, an exception is raised, the end is a proper end."""

    def __init__(self, *scripts: Sequence[str | Chunk | Exception], **capabilities: object) -> None:
        self.scripts = list(scripts)
        self.caps = Capabilities("Script", **capabilities)  # type: ignore[arg-type]
        self.seen: list[list[Message]] = []
        self.closed = 0

    @property
    def capabilities(self) -> Capabilities:
        return self.caps

    def start(self) -> None: ...

    def status(self) -> LoadStatus:
        return LoadStatus("ready")

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        self.seen.append(list(messages))
        try:
            for step in self.scripts.pop(0):
                if isinstance(step, Exception):
                    raise step
                yield Chunk(step) if isinstance(step, str) else step
            yield Chunk(finish_reason="stop", usage=USAGE)
        finally:
            self.closed += 1


def ask(session: Session, backend: Backend, *parts: Part | str) -> list[Update]:
    return list(session.send(Message.of("user", *parts).content, PARAMS, backend))


def conversation(*steps: Sequence[str | Chunk | Exception], **capabilities: object) -> tuple[Session, Script]:
    """A session with one finished turn, and a backend that plays `steps` next."""
    session, backend = Session(), Script(["one"], *steps, **capabilities)
    ask(session, backend, "first")
    return session, backend


def dialogue(session: Session) -> list[tuple[str, str]]:
    return [(turn.user.text, turn.answer) for turn in session.turns]


def seen(backend: Script) -> list[str]:
    return [message.text for message in backend.seen[-1]]


# --- failing and regenerating


def test_a_failed_turn_that_is_regenerated_keeps_all_earlier_turns():
    session, backend = conversation(["two"], [OutOfMemoryError("full")], ["three"])
    ask(session, backend, "second")
    ask(session, backend, "third")
    list(session.regenerate(PARAMS, backend))
    assert seen(backend) == ["first", "one", "second", "two", "third"]
    assert dialogue(session) == [("first", "one"), ("second", "two"), ("third", "three")]


def test_a_backend_error_stays_in_the_turn():
    session, backend = conversation(["par", OutOfMemoryError("full", "less")])
    last = ask(session, backend, "second")[-1].turn
    assert (last.state, last.answer, str(last.error)) == ("failed", "par", "full less")
    assert last is session.turns[-1] and not session.busy


def test_an_unexpected_error_is_named_without_its_text():
    session, backend = conversation([KeyError("secret prompt")])
    error = ask(session, backend, "second")[-1].turn.error
    assert isinstance(error, GenerationError)
    assert "KeyError" in str(error) and "secret" not in str(error)


def test_the_log_of_an_unexpected_error_does_not_quote_it(caplog: pytest.LogCaptureFixture):
    session, backend = conversation([KeyError("secret prompt")])
    ask(session, backend, "second")
    assert "KeyError" in caplog.text and "secret" not in caplog.text


def test_a_failed_turn_without_text_is_not_seen_by_the_model():
    session, backend = conversation([OutOfMemoryError("full")], ["three"])
    ask(session, backend, "second")
    ask(session, backend, "third")
    assert seen(backend) == ["first", "one", "third"]
    assert dialogue(session) == [("first", "one"), ("second", ""), ("third", "three")]


def test_a_kept_error_keeps_no_frames_alive():
    class Tensor: ...

    kept: list[weakref.ref[Tensor]] = []

    class Failing(Script):
        def stream(
            self, messages: Sequence[Message], params: SamplingParams, user: str = ""
        ) -> Generator[Chunk, None, None]:
            tensor = Tensor()
            kept.append(weakref.ref(tensor))
            yield Chunk()
            try:
                raise ValueError
            except ValueError as cause:
                raise OutOfMemoryError("full") from cause

    session = Session()
    ask(session, Failing(), "first")
    gc.collect()
    assert session.turns[0].error is not None and kept[0]() is None


def test_regenerate_shows_the_new_answer_and_keeps_the_old_one_beside_it():
    session, backend = conversation(["uno"])
    old = session.turns[0]
    list(session.regenerate(PARAMS, backend))
    assert dialogue(session) == [("first", "uno")] and seen(backend) == ["first"]
    session.show(old.key)
    assert session.turns == [old]


def test_the_model_gets_exactly_the_branch_that_is_shown():
    session, backend = conversation(["two"], ["uno"], ["zwei"], ["drei"])
    ask(session, backend, "second")
    old = session.turns[0].key
    list(session.edit(old, "primo", PARAMS, backend))
    ask(session, backend, "secondo")
    assert seen(backend) == ["primo", "uno", "secondo"]
    session.show(old)
    assert dialogue(session) == [("first", "one"), ("second", "two")]
    ask(session, backend, "third")
    assert seen(backend) == ["first", "one", "second", "two", "third"]


def test_a_turn_knows_the_options_it_was_asked_with():
    session, backend = conversation(["uno"])
    list(session.regenerate(SamplingParams(seed=7), backend))
    assert session.turns[0].params == SamplingParams(seed=7)


def test_regenerate_that_fails_at_once_brings_the_answer_back_with_the_error():
    session, backend = conversation([OutOfMemoryError("full")])
    last = list(session.regenerate(PARAMS, backend))[-1].turn
    assert (last.answer, last.state, str(last.error), last.usage) == ("one", "done", "full", USAGE)
    assert session.turns == [last]


def test_regenerate_that_fails_later_keeps_the_new_text():
    session, backend = conversation(["un", OutOfMemoryError("full")])
    list(session.regenerate(PARAMS, backend))
    assert dialogue(session) == [("first", "un")] and session.turns[0].state == "failed"


def test_going_on_settles_the_error_of_a_failed_regeneration():
    session, backend = conversation([OutOfMemoryError("full")], ["two"])
    list(session.regenerate(PARAMS, backend))
    ask(session, backend, "second")
    assert [turn.error for turn in session.turns] == [None, None]


def test_regenerate_stopped_before_its_first_word_brings_the_answer_back():
    session, backend = conversation([Chunk(), Chunk()])
    stream = session.regenerate(PARAMS, backend)
    next(stream), next(stream)
    stream.close()
    assert dialogue(session) == [("first", "one")] and session.turns[0].state == "done" and not session.busy


@pytest.mark.parametrize("example", [False, True])
def test_nothing_to_regenerate_is_refused(example: bool):
    session = Session()
    if example:
        session.add_example([Text("q")], "a")
    with pytest.raises(RequestError, match="no answer to regenerate"):
        list(session.regenerate(PARAMS, Script()))


# --- streaming


def test_the_turn_shows_before_the_first_chunk():
    session, backend = Session(), Script(["a"])
    stream = session.send([Text("q")], PARAMS, backend)
    first = next(stream)
    assert first.turn.state == "pending" and backend.seen == []


def test_updates_grow_the_answer():
    session, backend = Session(), Script(["a", "b"])
    answers = [(update.turn.answer, update.chunk.text) for update in session.send([Text("q")], PARAMS, backend)]
    assert answers == [("", ""), ("a", "a"), ("ab", "b"), ("ab", "")]


def test_the_end_brings_usage_and_frees_the_session():
    session, backend = Session(), Script(["a"])
    for update in session.send([Text("q")], PARAMS, backend):
        if update.chunk.finish_reason:
            assert (update.turn.state, update.turn.usage, session.busy) == ("done", USAGE, False)
    assert session.turns[0].state == "done"


def test_notices_are_kept():
    notice = Notice("turns_dropped", 2)
    session, backend = conversation([Chunk(notices=(notice,)), "two"])
    ask(session, backend, "second")
    assert session.turns[-1].notices == (notice,)


# --- stopping


def stopped(*steps: str | Chunk) -> tuple[Session, Script]:
    session, backend = conversation(["par", "tial", "never"], ["three"])
    stream = session.send([Text("second")], PARAMS, backend)
    for _ in range(3):
        next(stream)
    stream.close()
    return session, backend


def test_stop_keeps_and_marks_what_was_written():
    session, backend = stopped()
    assert dialogue(session)[-1] == ("second", "partial")
    assert session.turns[-1].state == "stopped" and not session.busy and backend.closed == 2


def test_going_on_makes_a_stopped_answer_count():
    session, backend = stopped()
    ask(session, backend, "third")
    assert seen(backend) == ["first", "one", "second", "partial", "third"]


def test_regenerating_makes_a_stopped_answer_not_count():
    session, backend = stopped()
    list(session.regenerate(PARAMS, backend))
    assert seen(backend) == ["first", "one", "second"]
    assert dialogue(session) == [("first", "one"), ("second", "three")]


def test_a_turn_stopped_without_text_is_not_seen_by_the_model():
    session, backend = conversation(["two"])
    stream = session.send([Text("second")], PARAMS, backend)
    next(stream)
    stream.close()
    ask(session, backend, "third")
    assert session.turns[1].state == "stopped" and seen(backend) == ["first", "one", "third"]


def test_an_error_while_stopping_is_not_raised():
    class Clumsy(Script):
        def stream(
            self, messages: Sequence[Message], params: SamplingParams, user: str = ""
        ) -> Generator[Chunk, None, None]:
            try:
                yield Chunk("a")
            finally:
                raise OutOfMemoryError("late")

    session = Session()
    stream = session.send([Text("q")], PARAMS, Clumsy())
    next(stream), next(stream)
    stream.close()
    assert session.turns[0].state == "stopped" and not session.busy


# --- one at a time


@pytest.fixture
def running() -> Iterator[tuple[Session, Script, Generator[Update, None, None]]]:
    session, backend = conversation(["two", "more"], ["three"])
    stream = session.send([Text("second")], PARAMS, backend)
    next(stream), next(stream)
    yield session, backend, stream
    stream.close()


@pytest.mark.parametrize(
    "act",
    [
        lambda s, b: list(s.send([Text("x")], PARAMS, b)),
        lambda s, b: list(s.regenerate(PARAMS, b)),
        lambda s, b: list(s.edit(s.turns[0].key, "x", PARAMS, b)),
        lambda s, b: s.edit_answer(s.turns[0].key, "x"),
        lambda s, b: s.delete(s.turns[0].key),
        lambda s, b: s.add_example([Text("x")], "y"),
        lambda s, b: s.show(s.turns[0].key),
    ],
)
def test_a_second_request_is_refused_and_changes_nothing(running, act):
    session, backend, stream = running
    with pytest.raises(RequestError, match="still being written"):
        act(session, backend)
    list(stream)
    assert dialogue(session) == [("first", "one"), ("second", "twomore")]


def test_clear_ends_a_running_answer_unseen(running):
    session, backend, stream = running
    session.clear()
    assert session.turns == [] and not session.busy
    assert list(stream) == [] and session.turns == [] and backend.closed == 2


def test_an_answer_cleared_away_does_not_touch_the_next_one(running):
    session, backend, stream = running
    session.clear()
    fresh = session.send([Text("new")], PARAMS, backend)
    next(fresh)
    stream.close()
    list(fresh)
    assert dialogue(session) == [("new", "three")] and seen(backend) == ["new"]


def test_an_error_after_clear_is_not_shown():
    session, backend = conversation(["two", OutOfMemoryError("full")])
    stream = session.send([Text("second")], PARAMS, backend)
    next(stream), next(stream)
    session.clear()
    assert list(stream) == [] and session.turns == []


def test_clear_from_another_thread_while_the_backend_works():
    waiting, go = Event(), Event()

    class Blocking(Script):
        def stream(
            self, messages: Sequence[Message], params: SamplingParams, user: str = ""
        ) -> Generator[Chunk, None, None]:
            waiting.set()
            assert go.wait(10)
            yield Chunk("late")

    session, updates = Session(), []
    worker = Thread(target=lambda: updates.extend(session.send([Text("q")], PARAMS, Blocking())))
    worker.start()
    assert waiting.wait(10)
    session.clear()
    go.set()
    worker.join(10)
    assert session.turns == [] and [update.chunk.text for update in updates] == [""]


# --- what is refused


@pytest.mark.parametrize("parts", [[], [Text("")], [Text(" \n")]])
def test_an_empty_message_changes_nothing(parts):
    session, backend = conversation()
    with pytest.raises(RequestError, match="empty"):
        list(session.send(parts, PARAMS, backend))
    assert dialogue(session) == [("first", "one")] and not session.busy


def test_media_alone_are_a_message():
    session, backend = Session(), Script(["a"])
    ask(session, backend, A)
    assert backend.seen == [[Message("user", (A,))]]


def example(session: Session) -> None:
    session.add_example([A, Text("q")], "a")


@pytest.mark.parametrize(
    ("capabilities", "parts", "params", "words"),
    [
        ({"max_images": 1}, [A, B], {}, ["2 images", "takes 1"]),
        ({"video": False}, [Video(Path("v.mp4"))], {}, ["1 video", "images and text only"]),
        ({"system_prompt": False}, [A], {"system_prompt": "Be brief"}, ["system prompt"]),
        ({"beam_search": False}, [A], {"do_sample": False}, ["Beam search"]),
    ],
)
def test_what_the_model_cannot_take_is_refused_before_anything_changes(capabilities, parts, params, words):
    session, backend = conversation(["never"], **capabilities)
    with pytest.raises(RequestError) as caught:
        list(session.send(parts, SamplingParams(**params), backend))
    assert all(word in str(caught.value) for word in [*words, "Script"])
    assert dialogue(session) == [("first", "one")] and len(backend.seen) == 1


def test_images_of_earlier_turns_count():
    session, backend = Session(), Script(["a"], ["b"], max_images=1)
    ask(session, backend, A)
    with pytest.raises(RequestError, match="2 images"):
        ask(session, backend, B)


def test_examples_are_refused_by_a_model_without_few_shot():
    session, backend = Session(), Script(["a"], few_shot=False)
    example(session)
    with pytest.raises(RequestError, match="1 few-shot example; Script takes none"):
        ask(session, backend, "q")


# --- few-shot


def test_examples_come_first_and_count():
    session, backend = Session(), Script(["a2"])
    session.add_example([A, Text("q1")], "a1")
    ask(session, backend, B, "q2")
    assert [(m.role, m.content) for m in backend.seen[0]] == [
        ("user", (A, Text("q1"))), ("assistant", (Text("a1"),)), ("user", (B, Text("q2"))),
    ]  # fmt: skip


@pytest.mark.parametrize(("user", "assistant"), [([], "a"), ([Text("q")], " ")])
def test_an_incomplete_example_is_refused(user, assistant):
    session = Session()
    with pytest.raises(RequestError, match="empty"):
        session.add_example(user, assistant)
    assert session.turns == []


def test_editing_an_example_keeps_everything_else():
    session, backend = Session(), Script(["a2"])
    key = session.add_example([A, Text("q1")], "a1").key
    ask(session, backend, "q2")
    list(session.edit(key, "q", PARAMS, backend))
    assert dialogue(session) == [("q", "a1"), ("q2", "a2")] and session.turns[0].user.content == (A, Text("q"))


# --- editing


def test_edit_answers_again_without_the_later_turns():
    session, backend = conversation(["two"], ["uno"])
    ask(session, backend, "second")
    list(session.edit(session.turns[0].key, "primo", PARAMS, backend))
    assert dialogue(session) == [("primo", "uno")] and seen(backend) == ["primo"]


def test_edit_keeps_the_media_and_places_them_by_their_marks():
    session, backend = Session(), Script(["a"], ["b"])
    ask(session, backend, A, B, "which?")
    list(session.edit(session.turns[0].key, "is [image 2] older?", PARAMS, backend))
    assert session.turns[0].user.content == (A, Text("is"), B, Text("older?"))


@pytest.mark.parametrize("step", [OutOfMemoryError("full"), ValueError("odd")])
def test_an_edit_that_fails_at_once_keeps_both_questions(step: Exception):
    session, backend = conversation(["two"], [step], ["uno"])
    ask(session, backend, "second")
    old = session.turns[0].key
    last = list(session.edit(old, "primo", PARAMS, backend))[-1].turn
    assert dialogue(session) == [("primo", "")] and session.turns == [last]
    assert (last.state, isinstance(last.error, AppError)) == ("failed", True)
    assert session.tree.versions(old) == [old, last.key]
    session.show(old)
    assert dialogue(session) == [("first", "one"), ("second", "two")] and session.turns[0].error is None


def test_an_edit_that_failed_is_what_is_asked_again():
    session, backend = conversation([OutOfMemoryError("full")], ["uno"])
    old = session.turns[0].key
    list(session.edit(old, "primo", PARAMS, backend))
    list(session.regenerate(PARAMS, backend))
    assert seen(backend) == ["primo"] and dialogue(session) == [("primo", "uno")]
    assert len(session.tree.versions(old)) == 2


def test_an_edit_that_fails_again_and_again_leaves_one_version():
    session, backend = conversation(*[[OutOfMemoryError("full")]] * 3)
    old = session.turns[0].key
    list(session.edit(old, "primo", PARAMS, backend))
    list(session.regenerate(PARAMS, backend))
    list(session.edit(session.turns[0].key, "primissimo", PARAMS, backend))
    assert [session.tree.turn(key).user.text for key in session.tree.versions(old)] == ["first", "primissimo"]


def test_an_edit_stopped_before_its_first_word_keeps_both_questions():
    session, backend = conversation([Chunk(), Chunk()])
    old = session.turns[0].key
    stream = session.edit(old, "primo", PARAMS, backend)
    next(stream), next(stream)
    stream.close()
    assert [(turn.user.text, turn.state) for turn in session.turns] == [("primo", "stopped")] and not session.busy
    session.show(old)
    assert dialogue(session) == [("first", "one")] and session.turns[0].state == "done"


def test_edit_refused_by_a_check_changes_nothing():
    session, backend = conversation()
    with pytest.raises(RequestError, match="empty"):
        list(session.edit(session.turns[0].key, " ", PARAMS, backend))
    assert dialogue(session) == [("first", "one")] and not session.busy


def test_edit_answer_is_what_the_model_sees():
    session, _ = stopped()
    session.edit_answer(session.turns[-1].key, "whole")
    assert session.turns[-1].state == "done" and [m.text for m in session.messages()][-1] == "whole"
    with pytest.raises(RequestError, match="empty"):
        session.edit_answer(session.turns[-1].key, "")


def test_delete_removes_question_and_answer():
    session, backend = conversation(["two"], ["three"])
    ask(session, backend, "second")
    session.delete(session.turns[0].key)
    ask(session, backend, "third")
    assert seen(backend) == ["second", "two", "third"]


@pytest.mark.parametrize("act", [Session.delete, Session.show, lambda s, k: s.edit_answer(k, "x")])
def test_an_unknown_key_is_refused(act):
    session, _ = conversation()
    with pytest.raises(RequestError, match="no longer part"):
        act(session, "nonsense")


# --- copies and keys


def test_a_deep_copy_is_independent():
    session, backend = conversation(["two"])
    copy = deepcopy(session)
    ask(copy, backend, "second")
    assert dialogue(session) == [("first", "one")] and len(copy.turns) == 2


def test_a_deep_copy_of_a_running_session_is_idle(running):
    session, _, _ = running
    copy = deepcopy(session)
    assert not copy.busy and copy.turns[-1].state == "stopped" and session.busy


def test_keys_are_unique():
    user = Message.of("user", "q")
    assert len({Turn(user).key for _ in range(100)}) == 100


def test_the_session_needs_neither_torch_nor_gradio():
    code = "import app.session, sys; print(*{'torch', 'gradio', 'transformers', 'PIL'} & set(sys.modules))"
    root = Path(__file__).parents[1]
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root).strip() == ""


def test_thinking_is_kept_apart_and_never_sent_again() -> None:
    session, backend = conversation([Chunk(thinking="I co"), Chunk(thinking="unt."), "Two."], ["Three."])
    ask(session, backend, "How many?")
    assert (session.turns[-1].thinking, session.turns[-1].answer) == ("I count.", "Two.")
    ask(session, backend, "And now?")
    assert seen(backend) == ["first", "one", "How many?", "Two.", "And now?"]
    assert session.turns[-1].thinking == ""


def test_an_answer_that_is_all_thinking_is_no_answer() -> None:
    session, backend = conversation([Chunk(thinking="hm")], ["Three."])
    ask(session, backend, "How many?")
    ask(session, backend, "And now?")
    assert seen(backend) == ["first", "one", "And now?"]
