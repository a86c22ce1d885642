from __future__ import annotations

import pytest

from app.replicas.routing import SLACK, parted, ranked, session_of, unknown

NAMES = ("a1", "b2", "c3", "d4")
IDLE = dict.fromkeys(NAMES, 0)
TALKS = [f"talk {number}" for number in range(400)]


def home(conversation: str, names: tuple[str, ...] = NAMES) -> str:
    return ranked(conversation, dict.fromkeys(names, 0))[0][0]


def test_a_conversation_has_one_home_whatever_the_order() -> None:
    assert ranked("x", IDLE) == ranked("x", dict(reversed(IDLE.items())))
    first, *rest = ranked("x", IDLE)
    assert len(first) == 1 and sorted(first + rest[0]) == sorted(NAMES)


def test_homes_are_spread_evenly() -> None:
    homes = [home(talk) for talk in TALKS]
    assert all(60 < homes.count(name) < 140 for name in NAMES)


def test_only_the_conversations_of_a_replica_that_is_gone_move() -> None:
    for talk in TALKS:
        if home(talk) != "c3":
            assert home(talk, ("a1", "b2", "d4")) == home(talk)


def test_a_full_home_comes_last() -> None:
    at_home = home("x")
    assert ranked("x", IDLE | {at_home: SLACK})[0] == [at_home]
    others, last = ranked("x", IDLE | {at_home: SLACK + 1})
    assert last == [at_home] and len(others) == 3


def test_what_everybody_has_to_do_counts() -> None:
    busy = dict.fromkeys(NAMES, 50)
    assert ranked("x", busy)[0] == [home("x")]


@pytest.mark.parametrize("loads", [{}, {"a1": None}, {"a1": None, "b2": None}])
def test_unknown_loads_are_no_loads(loads: dict[str, int | None]) -> None:
    assert sorted(name for rank in ranked("x", loads) for name in rank) == sorted(loads)


def test_what_is_not_known_is_compared_with_nothing() -> None:
    at_home = home("x")
    others = dict.fromkeys((name for name in NAMES if name != at_home), None)
    assert ranked("x", others | {at_home: 50})[0] == [at_home]
    assert ranked("x", others | {at_home: None})[0] == [at_home]
    known = next(iter(others))
    assert ranked("x", others | {at_home: 50, known: 50})[0] == [at_home]
    assert ranked("x", others | {at_home: 50, known: 1})[-1] == [at_home]


def test_loads_are_wanted_only_where_they_decide() -> None:
    at_home = home("x")
    nothing = dict.fromkeys(NAMES, None)
    others = sorted(name for name in NAMES if name != at_home)
    assert unknown("x", nothing) == [at_home]
    assert unknown("x", nothing | {at_home: SLACK}) == []
    assert unknown("x", nothing | {at_home: SLACK + 1}) == others
    assert unknown("x", IDLE | {at_home: 50}) == [] and unknown("", nothing) == []


def test_a_replica_to_avoid_comes_last_and_is_nobodys_home() -> None:
    at_home = home("x")
    ranks = ranked("x", IDLE, {at_home})
    assert ranks[0] == [home("x", tuple(name for name in NAMES if name != at_home))] and ranks[-1] == [at_home]
    assert ranked("", IDLE, {"b2"}) == [["a1", "c3", "d4"], ["b2"]]
    assert unknown("x", dict.fromkeys(NAMES, None), {at_home}) == ranks[0]


@pytest.mark.parametrize("avoided", [[], ["a1"], ["a1", "b2"]])
@pytest.mark.parametrize("conversation", ["", "x"])
def test_one_string_carries_the_conversation_and_what_to_avoid(conversation: str, avoided: list[str]) -> None:
    assert parted(session_of(conversation, avoided)) == (conversation, frozenset(avoided))


def test_what_belongs_to_no_conversation_goes_anywhere() -> None:
    assert ranked("", IDLE) == [sorted(NAMES)]
