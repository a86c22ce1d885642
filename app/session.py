"""The rules of a conversation: what is kept, what the model sees, what a failure or a Stop leaves behind."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex
from threading import RLock
from typing import Any, TypeAlias

from app.backends.base import Backend
from app.errors import AppError, ContextLengthError, GenerationError, OutOfMemoryError, RequestError
from app.feedback import Rating
from app.messages import Chunk, Message, Part
from app.meter import Fix, way_out
from app.placement import attachments, place_attachments
from app.sampling import SamplingParams
from app.texts import Phrase
from app.tree import Tree
from app.turn import Turn, check_capabilities, check_not_empty

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Update:
    """A step of an answer: the turn as it is now and the chunk that made it so."""

    turn: Turn
    chunk: Chunk


Updates: TypeAlias = Generator[Update, None, None]
Plan: TypeAlias = Callable[[Tree], Tree]


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """An answer being written.

    Attributes:
        before: what to bring back if it never gets a word out, or None: then what was asked stays.
        of: the key of the turn in it that has the older answer, or empty.
    """

    turn: Turn
    before: Tree | None
    of: str = ""


class Session:
    """One conversation.

    `send`, `regenerate` and `edit` are generators: nothing happens, and nothing is checked, before the first
    `next`. Closing one is Stop. They raise `RequestError` before anything changes: the message is empty, the
    model cannot take the conversation, or an answer is still being written. What fails afterwards is not raised
    but left in the turn (`state`, `error`), and the last update shows it.

    `clear` may come at any time and from any thread; an answer then being written ends unseen. All else waits
    for the answer to end. Editing and regenerating keep the older version beside the new one in `tree`; `turns`, what
    is shown and seen by the model, is the path through it that was chosen. A list once taken stays as it was.
    """

    def __init__(self, tree: Tree | None = None) -> None:
        self.tree = tree or Tree()
        # Whose requests these are, for a fair line; says nothing about who it is.
        self.user = token_hex(8)
        self._run: _Run | None = None
        self._lock = RLock()

    @property
    def busy(self) -> bool:
        """Whether an answer is being written."""
        return self._run is not None

    @property
    def turns(self) -> list[Turn]:
        """The turns shown, the first one first."""
        return self.tree.path()

    @turns.setter
    def turns(self, turns: Sequence[Turn]) -> None:
        self.tree = Tree.of(turns)

    def messages(self) -> list[Message]:
        """What the model sees. A turn without any answer is no part of it, the pending one apart."""
        return [message for turn in self.turns for message in turn.messages()]

    def send(self, parts: Sequence[Part], params: SamplingParams, backend: Backend) -> Updates:
        """Ask something new. A turn that fails or is stopped stays, with what was answered until then."""
        user = Message("user", tuple(parts))
        check_not_empty(user)
        yield from self._answer(lambda tree: _settled(tree).appended(Turn(user)), params, backend)

    def regenerate(self, params: SamplingParams, backend: Backend) -> Updates:
        """Answer the last question again; the old answer comes back if the new one ends before its first word.

        Raises:
            RequestError: there is nothing to answer.
        """
        last = _last_question(self.tree)
        yield from self._answer(lambda tree: tree.branched(last.key, Turn(last.user)), params, backend, of=last.key)

    def edit(self, key: str, text: str, params: SamplingParams, backend: Backend) -> Updates:
        """Change a question's text and answer again; the question as it was stays beside it with all that came after.

        Its media stay and are placed by the marks in `text`. The new question stays, too, if its answer fails or is
        stopped before its first word. An example's question changes in place, without an answer.

        Raises:
            RequestError: no turn has this key, or nothing would be left of the message.
        """
        if self._turn(key).state == "example":
            yield Update(self._edit_example(key, text), Chunk())
            return
        edited = Turn(_with_text(self._turn(key).user, text))
        yield from self._answer(lambda tree: tree.branched(key, edited), params, backend)

    def edit_answer(self, key: str, text: str) -> None:
        """Replace an answer; the model sees the new text.

        Raises:
            RequestError: the text is empty, no turn has this key, or an answer is still being written.
        """
        _check_answer(text)
        with self._lock:
            self._check_idle()
            turn = self._turn(key)
            edited = replace(turn, answer=text, error=None)
            edited.state = "example" if turn.state == "example" else "done"
            self._put(edited)

    def show(self, key: str) -> None:
        """Show another version of a turn, and what was said after it.

        Raises:
            RequestError: no turn has this key, or an answer is still being written.
        """
        with self._lock:
            self._check_idle()
            self.tree = self.tree.showing(key)

    def delete(self, key: str) -> None:
        """Remove a question with its answer; what was said after it stays.

        Raises:
            RequestError: no turn has this key, or an answer is still being written.
        """
        with self._lock:
            self._check_idle()
            self.tree = self.tree.removed(key)

    def add_example(self, user: Sequence[Part], assistant: str) -> Turn:
        """Add a few-shot example: a question and the answer wanted for it.

        Raises:
            RequestError: either is empty, or an answer is still being written.
        """
        message = Message("user", tuple(user))
        check_not_empty(message)
        _check_answer(assistant)
        with self._lock:
            self._check_idle()
            turn = Turn(message, assistant, "example")
            self.tree = self.tree.appended(turn)
            return turn

    def rate(self, key: str, rating: Rating) -> None:
        """Keep what the user thinks of an answer; at any time, for the turn itself stays what it is.

        Raises:
            RequestError: no turn has this key.
        """
        with self._lock:
            self._turn(key).rating = rating

    def leave_out(self, count: int) -> None:
        """Keep the first so many answered turns from the model, and no others; 0 gives it all of them again.

        Raises:
            RequestError: an answer is still being written.
        """
        with self._lock:
            self._check_idle()
            for number, turn in enumerate(turn for turn in self.turns if turn.answer):
                if turn.left_out != (number < count):
                    self._put(replace(turn, left_out=number < count))

    def clear(self) -> None:
        """Forget everything; an answer being written ends at its next step."""
        with self._lock:
            self.tree, self._run = Tree(), None

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        # Messages are frozen and their media may be large, so they are shared. No answer runs in the copy.
        copy = Session()
        with self._lock:
            turns = {key: replace(turn) for key, turn in self.tree.turns.items()}
            copy.tree = replace(self.tree, turns=turns)
        for turn in turns.values():
            turn.state = "stopped" if turn.state == "pending" else turn.state
        return copy

    def _answer(self, plan: Plan, params: SamplingParams, backend: Backend, *, of: str = "") -> Updates:
        """Answer the last turn of a plan; where it asks `of` a turn the same again, a failure brings that back."""
        run = self._begin(plan, params, backend, of)
        try:
            yield Update(run.turn, Chunk())
            error = yield from self._stream(run, params, backend)
            shown = self._fail(run, error, self._fixes(run, error, backend)) if error else None
            if shown:
                yield Update(shown, Chunk())
        finally:
            self._stop(run)

    def _begin(self, plan: Plan, params: SamplingParams, backend: Backend, of: str) -> _Run:
        capabilities = backend.capabilities
        with self._lock:
            self._check_idle()
            before, tree = self.tree, plan(self.tree)
            turns = tree.path()
            check_capabilities(turns, params, capabilities)
            turns[-1].params = params
            self.tree = tree
            self._run = _Run(turns[-1], before if of else None, of)
            return self._run

    def _stream(self, run: _Run, params: SamplingParams, backend: Backend) -> Generator[Update, None, AppError | None]:
        """Write the answer into the turn; returns the error that ended it, if one did."""
        with self._lock:
            messages = self.messages() if self._run is run else []
        if not messages:
            return None
        run.turn.asked = tuple(messages)
        chunks = None
        try:
            chunks = backend.stream(messages, params, self.user)
            for chunk in chunks:
                if not self._take(run, chunk):
                    return None
                yield Update(run.turn, chunk)
        except AppError as error:
            return _without_frames(error)
        except Exception as cause:
            return _unexpected(cause)
        finally:
            _close(chunks)
        self._finish(run)
        return None

    def _take(self, run: _Run, chunk: Chunk) -> bool:
        """Add a chunk to the turn; False once the answer is over, be it complete or cleared away."""
        with self._lock:
            if self._run is not run:
                return False
            turn = run.turn
            turn.answer += chunk.text
            turn.thinking += chunk.thinking
            turn.notices += chunk.notices
            turn.usage = chunk.usage or turn.usage
            if chunk.finish_reason:
                self._finish(run)
            return True

    def _finish(self, run: _Run) -> None:
        with self._lock:
            if self._run is run:
                run.turn.state = "done"
                self._run = None

    def _fixes(self, run: _Run, error: AppError, backend: Backend) -> tuple[Fix, ...]:
        """What to try where there was no room; turns that are left out already count among those to leave out."""
        params = run.turn.params
        if params is None or not isinstance(error, (ContextLengthError, OutOfMemoryError)):
            return ()
        try:
            fixes = way_out(backend.measure, run.turn.asked, params, ran_out=isinstance(error, OutOfMemoryError))
        except Exception:  # a file that is gone, or no memory even for this: the answer's own error is what counts
            return ()
        left_out = sum(turn.left_out for turn in self.turns)
        return tuple(replace(fix, value=fix.value + left_out * (fix.kind == "leave_out")) for fix in fixes)

    def _fail(self, run: _Run, error: AppError, fixes: tuple[Fix, ...]) -> Turn | None:
        """Put the error into the turn that is to show it and return that; None if there is none any more."""
        with self._lock:
            if self._run is not run:
                return None
            self._run = None
            run.turn.state, run.turn.error, run.turn.fixes = "failed", error, fixes
            if run.turn.answer or run.before is None:
                return run.turn
            shown = replace(run.before.turn(run.of), error=error, fixes=fixes)
            self.tree = run.before.replaced(shown)
            return shown

    def _stop(self, run: _Run) -> None:
        with self._lock:
            if self._run is not run:
                return
            self._run = None
            run.turn.state = "stopped"
            if not run.turn.answer and run.before is not None:
                self.tree = run.before

    def _edit_example(self, key: str, text: str) -> Turn:
        with self._lock:
            self._check_idle()
            turn = self._turn(key)
            return self._put(replace(turn, user=_with_text(turn.user, text)))

    def _turn(self, key: str) -> Turn:
        return self.tree.turn(key)

    def _put(self, turn: Turn) -> Turn:
        self.tree = self.tree.replaced(turn)
        return turn

    def _check_idle(self) -> None:
        if self._run is not None:
            raise RequestError(Phrase("answer_running"), Phrase("do_wait_or_stop"))


def _settled(tree: Tree) -> Tree:
    """Good answers lose the error of a failed regeneration once the user goes on."""
    for turn in tree.path():
        if turn.state == "done" and turn.error:
            tree = tree.replaced(replace(turn, error=None))
    return tree


def _last_question(tree: Tree) -> Turn:
    turns = tree.path()
    if not turns or turns[-1].state == "example":
        raise RequestError(Phrase("nothing_to_regenerate"), Phrase("do_send_first"))
    return turns[-1]


def _with_text(message: Message, text: str) -> Message:
    edited = Message(message.role, place_attachments(text, attachments(message.content)))
    check_not_empty(edited)
    return edited


def _check_answer(text: str) -> None:
    if not text.strip():
        raise RequestError(Phrase("answer_empty"), Phrase("do_write_or_delete"))


def _without_frames(error: AppError) -> AppError:
    # The turn outlives the request: a kept traceback would keep the frames' tensors, and so the device's memory.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def _unexpected(cause: Exception) -> GenerationError:
    # The cause's own text may quote the prompt, so neither the user nor the log gets it.
    name = type(cause).__name__
    log.error("Unexpected %s while answering\n%s", name, "".join(traceback.format_tb(cause.__traceback__)))
    return GenerationError(Phrase("answer_unexpected", name=name), Phrase("do_try_again"))


def _close(chunks: Generator[Chunk, None, None] | None) -> None:
    if chunks is None:
        return
    try:
        chunks.close()
    except Exception as error:
        log.error("%s while an answer was closed", type(error).__name__)
