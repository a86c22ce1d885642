"""A conversation as the chat component shows it: two messages per turn, and a remark if a message was not sent."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import AppError, RequestError
from app.messages import Progress, Usage
from app.session import Session
from app.texts import Phrase, translated
from app.tree import Place
from app.turn import Turn
from app.ui import payloads
from app.ui.answer_parts import parts_of
from app.ui.escape import escape
from app.ui.fixes import failed_turn
from app.ui.grounding import FIGURES, pictures_of, show_marks
from app.ui.page_state import Page
from app.ui.payloads import Payload
from app.ui.texts import Locale, say


def transcript(page: Page) -> list[Payload]:
    """All messages of a page's conversation."""
    tree = page.session.tree
    places, turns = tree.places(), tree.path()
    messages = [message for at, turn in enumerate(turns, 1) for message in _turn(turns[:at], page, places[turn.key])]
    if page.rejected:
        footer = say("not_sent", page.locale)
        content = [payloads.remark(_error(page.rejected, page.locale))]
        messages.append(_message("assistant", "rejected", content, footer, classes="answer-failed", actions=[]))
    return messages


def turn_at(session: Session, index: int) -> tuple[Turn, bool]:
    """The turn a message of `transcript` belongs to, and whether the message is its answer.

    Raises:
        RequestError: there is no such message.
    """
    turns = session.turns
    if not 0 <= index < 2 * len(turns):
        raise RequestError(Phrase("message_gone"), Phrase("do_reload"))
    return turns[index // 2], index % 2 == 1


def footer(turn: Turn, locale: Locale) -> str:
    """How the answer ended and what it cost."""
    state = [say(turn.state, locale)] if turn.state in ("stopped", "failed", "example") else []
    return " · ".join(state + (_usage(turn.usage, locale) if turn.usage else []))


def progress_text(progress: Progress, locale: Locale) -> str:
    """What is being waited for, with a count where there is one, and in the queue with the place and the time."""
    if progress.stage == "queue" and progress.done:
        key = "queue_place" if progress.seconds is None else "queue_time"
        return f"{say(key, locale, place=progress.done, seconds=round(progress.seconds or 0))} …"
    count = f" {progress.done}/{progress.total}" if progress.total else ""
    return f"{say(progress.stage, locale)}{count} …"


def _turn(turns: Sequence[Turn], page: Page, place: Place) -> tuple[Payload, Payload]:
    """Question and answer of the last of these turns."""
    turn = turns[-1]
    user = _message("user", f"{turn.key}-user", payloads.question(turn.user.content, page.locale))
    answer = _answer(turns, page)
    # The page's script reads from the classes which turn a message belongs to, and which version of it this is.
    named = f"turn-{turn.key} version-{place.number}-{place.total}"
    answer["elem_classes"] = " ".join(filter(None, [answer.get("elem_classes"), named]))
    return user, answer


def _answer(turns: Sequence[Turn], page: Page) -> Payload:
    turn = turns[-1]
    key, pending = f"{turn.key}-assistant", turn.state == "pending"
    contents = _answer_contents(turns, page)
    message = _message("assistant", key, contents, footer(turn, page.locale))
    if pending:
        message |= {"status": "pending", "loading": not contents}
    elif not turn.answer:
        message["actions"] = ["delete"]
    if turn.error:
        message["elem_classes"] = "answer-failed"
    if turn.rating and turn.rating.liked is not None:
        message |= payloads.rated(turn.rating.liked)
    return message


def _answer_contents(turns: Sequence[Turn], page: Page) -> list[Payload]:
    turn = turns[-1]
    contents = [payloads.remark(f"*{say(note.kind, page.locale, count=note.count)}*") for note in turn.notices]
    if turn.thinking:
        done = bool(turn.answer) or turn.state != "pending"
        contents.append(payloads.folded(escape(turn.thinking), say("thinking", page.locale), done=done))
    if turn.answer:
        contents += _answer_text(turns, page)
    elif turn.state == "pending" and page.progress:
        contents.append(payloads.remark(progress_text(page.progress, page.locale)))
    if turn.error:
        contents.append(payloads.remark(_error(turn.error, page.locale)))
        way_out = failed_turn(turn, turn.error, page.locale)
        if way_out and len(turns) == len(page.session.turns):
            contents.append(payloads.remark(way_out))
    elif turn.state == "stopped" and not turn.answer:
        contents.append(payloads.remark(say("stopped", page.locale)))
    return contents


def _answer_text(turns: Sequence[Turn], page: Page) -> list[Payload]:
    """The answer as it is shown, room for the pictures it draws in, and what is copied and edited of it."""
    turn, ended = turns[-1], turns[-1].state != "pending"
    shown, has_marks = show_marks(turn.answer, pictures_of(turns), page.locale, ended=ended)
    parts = parts_of(shown)
    if parts == [turn.answer]:
        return [payloads.markdown(shown)]
    contents = [payloads.remark(part) for part in parts]
    if has_marks:
        contents.append(payloads.remark(FIGURES))
    return [*contents, payloads.source(turn.answer)] if ended else contents


def _error(error: AppError, locale: Locale) -> str:
    message, hint = translated(error.message, locale), translated(error.hint, locale)
    return f"**{escape(message)}** {escape(hint)}".strip()


def _usage(usage: Usage, locale: Locale) -> list[str]:
    figures = [say("new_tokens", locale, count=usage.new_tokens)]
    if usage.tokens_per_second is not None:
        figures.append(say("speed", locale, speed=usage.tokens_per_second))
    if usage.ttft is not None:
        figures.append(say("ttft", locale, seconds=usage.ttft))
    if usage.vision_tokens is not None:
        figures.append(say("vision_tokens", locale, count=usage.vision_tokens))
    if usage.cached_tokens:
        figures.append(say("cached_tokens", locale, count=usage.cached_tokens))
    if usage.cached_slices:
        figures.append(say("cached_slices", locale, count=usage.cached_slices))
    return figures


def _message(
    role: str,
    key: str,
    content: list[Payload],
    footer: str = "",
    *,
    classes: str | None = None,
    actions: list[str] | None = None,
) -> Payload:
    message: Payload = {"role": role, "key": key, "content": content, "footer": footer, "status": "done"}
    if classes:
        message["elem_classes"] = classes
    if actions is not None:
        message["actions"] = actions
    return message
