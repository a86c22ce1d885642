"""The line: users take turns, everybody knows where they stand, and a full line says when to come back."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from app.engine import tickets
from app.engine.tickets import MAX_WAITING, MAX_WAITING_OF_ONE, Line, Place, drain
from app.errors import BackendBusyError
from app.messages import Message
from app.sampling import SamplingParams

QUESTION, PARAMS = [Message.of("user", "What?")], SamplingParams()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item; it never stands still."""
    now, tick = [100.0], count()
    monkeypatch.setattr(tickets, "monotonic", lambda: now[0] + next(tick) * 1e-9)
    made = tickets.Ticket
    monkeypatch.setattr(tickets, "Ticket", lambda *arguments: made(*arguments, submitted=now[0] + next(tick) * 1e-9))
    return now


def served(line: Line, how_many: int) -> str:
    return "".join(ticket.user for ticket in (line.next() for _ in range(how_many)) if ticket)


def test_users_take_turns() -> None:
    line = Line()
    for user in "aaaabbc":
        line.submit(QUESTION, PARAMS, user)
    assert served(line, 7) == "abcabaa"


def test_those_who_share_take_turns_among_themselves_and_get_one_share_together() -> None:
    line = Line()
    for user in ("a/1", "a/1", "a/2", "a/3", "b", "b", "b/1"):
        line.submit(QUESTION, PARAMS, user)
    order = [ticket.user for ticket in (line.next() for _ in range(7)) if ticket]
    assert order == ["a/1", "b", "a/2", "b/1", "a/3", "b", "a/1"]
    # What a sharer got counts against all who share it.
    for user in ("a/4", "c"):
        line.submit(QUESTION, PARAMS, user)
    assert [ticket.user for ticket in (line.next() for _ in range(2)) if ticket] == ["c", "a/4"]


def test_who_was_served_longest_ago_goes_first() -> None:
    line = Line()
    for user in "ab":
        line.submit(QUESTION, PARAMS, user)
    assert served(line, 2) == "ab"
    for user in "bacb":
        line.submit(QUESTION, PARAMS, user)
    assert served(line, 4) == "cabb"


def test_places_are_those_in_which_they_are_served() -> None:
    line = Line()
    sent = [line.submit(QUESTION, PARAMS, user) for user in "aaab"]
    assert [line.place(ticket) for ticket in sent] == [Place(1), Place(3), Place(4), Place(2)]
    order = [line.next() for _ in sent]
    assert order == [sent[0], sent[3], sent[1], sent[2]]
    assert line.place(sent[0]) is None


def test_one_without_room_lets_the_next_pass_and_waits_until_told() -> None:
    line = Line()
    first, second = line.submit(QUESTION, PARAMS, "a"), line.submit(QUESTION, PARAMS, "b")
    allowed = {"b"}
    room = lambda ticket: ticket.user in allowed  # noqa: E731
    assert line.next(room) is second
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(line.next(room)))
    thread.start()
    allowed.add("a")
    line.wake()
    thread.join(10)
    assert taken == [first]


def test_who_leaves_is_never_served_and_the_others_move_up() -> None:
    line = Line()
    first, second = line.submit(QUESTION, PARAMS), line.submit(QUESTION, PARAMS)
    line.leave(first)
    line.leave(first)
    assert line.place(first) is None and line.place(second) == Place(1)
    assert line.next() is second


def test_the_time_is_foretold_by_turns_that_others_waited_for(clock: list[float]) -> None:
    line = Line()
    sent = [line.submit(QUESTION, PARAMS) for _ in range(4)]
    assert line.next() is sent[0]
    assert line.place(sent[1]) == Place(1, None)
    clock[0] += 6
    assert line.next() is sent[1]
    place = line.place(sent[3])
    assert place and place.number == 2 and place.seconds == pytest.approx(12, abs=0.01)
    clock[0] += 4
    place = line.place(sent[2])
    assert place and place.number == 1 and place.seconds == pytest.approx(2, abs=0.01)
    # An hour in which nobody waited says nothing.
    served(line, 2)
    clock[0] += 3600
    later = [line.submit(QUESTION, PARAMS) for _ in range(2)]
    assert line.next() is later[0]
    place = line.place(later[1])
    assert place and place.seconds is not None and place.seconds < 10


def test_a_full_line_says_when_to_come_back(clock: list[float]) -> None:
    line = Line()
    for number in range(MAX_WAITING):
        line.submit(QUESTION, PARAMS, str(number))
    with pytest.raises(BackendBusyError, match=r"256 requests wait already.* Try again in a while") as refused:
        line.submit(QUESTION, PARAMS, "late")
    assert refused.value.retry_after is None
    served(line, 1)
    clock[0] += 2
    served(line, 1)
    for user in ("next", "last"):
        line.submit(QUESTION, PARAMS, user)
    with pytest.raises(BackendBusyError, match="Try again in about 256 s") as refused:
        line.submit(QUESTION, PARAMS, "late")
    assert refused.value.retry_after == pytest.approx(256, abs=0.1)


def test_one_user_has_a_share_of_the_line_and_others_find_room(clock: list[float]) -> None:
    line = Line()
    own = [line.submit(QUESTION, PARAMS, "program") for _ in range(MAX_WAITING_OF_ONE)]
    with pytest.raises(BackendBusyError, match="64 of your requests wait already"):
        line.submit(QUESTION, PARAMS, "program")
    assert line.place(line.submit(QUESTION, PARAMS, "page")) == Place(2)
    assert line.place(own[-1]) == Place(MAX_WAITING_OF_ONE + 1)


def test_in_a_full_line_who_has_most_makes_room_for_who_has_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "MAX_WAITING", 6)
    line = Line()
    sent = [line.submit(QUESTION, PARAMS, user) for user in "aaaabb"]
    newcomer = line.submit(QUESTION, PARAMS, "c")
    (refusal,) = drain(sent[3], 0)
    assert isinstance(refusal, BackendBusyError) and sent[3].cancelled and line.place(sent[3]) is None
    assert line.place(newcomer) == Place(3)
    line.submit(QUESTION, PARAMS, "c")
    assert sent[2].cancelled
    with pytest.raises(BackendBusyError, match="6 requests wait already"):
        line.submit(QUESTION, PARAMS, "c")
    assert served(line, 6) == "abcabc"


def test_many_names_of_one_sharer_fill_the_line_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "MAX_WAITING", 4)
    line = Line()
    many = [line.submit(QUESTION, PARAMS, f"a/{number}") for number in range(4)]
    other = line.submit(QUESTION, PARAMS, "b")
    assert line.place(other) == Place(2) and line.place(many[3]) is None
    (refusal,) = drain(many[3], 1)
    assert isinstance(refusal, BackendBusyError)
    # Among those who share, too, who has most makes room.
    line.leave(many[2])
    second = line.submit(QUESTION, PARAMS, "a/0")
    third = line.submit(QUESTION, PARAMS, "a/9")
    assert line.place(second) is None and line.place(third) is not None
    with pytest.raises(BackendBusyError):
        line.submit(QUESTION, PARAMS, "a/8")
