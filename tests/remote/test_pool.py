from __future__ import annotations

from typing import Any

import pytest

from app.errors import GenerationError
from app.remote import pool
from app.remote.detect import Found
from app.remote.pool import Pool, Server
from app.remote.profiles import PROFILES

FOUND = Found(PROFILES["vllm"], "m")


def servers(count: int) -> list[Server]:
    client: Any = None
    made = [Server(f"http://host{number}", client) for number in range(count)]
    for server in made:
        server.mark_up(FOUND)
    return made


def chosen(among: Pool, conversation: str, but_not: tuple[Server, ...] = ()) -> Server | None:
    with among.lease(conversation, but_not) as server:
        return server


def test_idle_servers_take_turns_and_conversations_stay() -> None:
    both = Pool(servers(2))
    homes = {name: chosen(both, name) for name in "abcd"}
    assert list(homes.values()).count(both.servers[0]) == 2
    assert {name: chosen(both, name) for name in "dcba"} == homes


def test_a_conversation_leaves_a_server_that_is_far_busier() -> None:
    both = Pool(servers(2))
    home = chosen(both, "a")
    assert home is not None
    home.busy = pool.SLACK
    assert chosen(both, "a") is home
    home.busy = pool.SLACK + 1
    assert chosen(both, "a") is not home


def test_the_count_of_requests_survives_errors() -> None:
    one = Pool(servers(1))
    with pytest.raises(ZeroDivisionError), one.lease("a") as server:
        assert server is not None and server.busy == 1
        raise ZeroDivisionError
    assert one.servers[0].busy == 0


def test_dead_and_tried_servers_are_left_out() -> None:
    three = Pool(servers(3))
    dead, tried, left = three.servers
    dead.mark_down(GenerationError("gone"))
    assert chosen(three, "a", (tried,)) is left
    assert chosen(three, "a", (tried, left)) is None
    dead.mark_up(FOUND)
    assert chosen(three, "b", (tried, left)) is dead


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pool, "monotonic", made)
    return made


def test_a_server_that_stays_dead_is_asked_ever_less_often(clock: Clock) -> None:
    server, waits = servers(1)[0], []
    for _ in range(8):
        server.mark_down(GenerationError("gone"))
        waits.append(server.retry_at - clock.now)
        clock.now = server.retry_at
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    server.mark_up(FOUND)
    server.mark_down(GenerationError("gone"))
    assert server.retry_at == clock.now + 1


def test_all_the_answers_of_one_outage_are_one_failure(clock: Clock) -> None:
    server = servers(1)[0]
    for number in range(6):
        clock.now = number / 10
        server.mark_down(GenerationError(f"gone {number}"))
    assert server.retry_at == 1 and str(server.error) == "gone 5"
    clock.now = 1.0
    for _ in range(6):
        server.mark_down(GenerationError("gone"))
    assert server.retry_at == 1 + 2


def test_a_server_is_looked_at_again_while_it_has_nothing_to_do(clock: Clock) -> None:
    one = Pool(servers(1))
    server = one.servers[0]
    assert not server.due
    clock.now = pool.IDLE_WAIT
    assert server.due
    with one.lease("a"):
        assert not server.due
        server.mark_down(GenerationError("gone"))
        clock.now += 1
        assert server.due
    server.mark_up(FOUND)
    assert not server.due


@pytest.mark.parametrize("seen", [GenerationError("gone"), Found(PROFILES["ollama"], "m")], ids=["dead", "other"])
def test_a_look_counts_unless_a_request_began_meanwhile(seen: Found | GenerationError, clock: Clock) -> None:
    one = Pool(servers(1))
    server = one.servers[0]
    clock.now = pool.IDLE_WAIT
    asked = server.asked
    with one.lease("a"):
        assert not one.settle(server, asked, seen) and server.up
        assert not one.settle(server, server.asked, seen) and server.up
    # What it said to the request that has ended is newer, too, and the next look is not at once.
    assert not one.settle(server, asked, seen) and server.found is FOUND and not server.due
    assert one.settle(server, server.asked, seen)
    assert (server.error or server.found) is seen


def test_a_look_that_is_not_used_leaves_a_dead_server_s_wait(clock: Clock) -> None:
    one = Pool(servers(1))
    server = one.servers[0]
    with one.lease("a"):
        server.mark_down(GenerationError("gone"))
    assert not one.settle(server, 0, FOUND) and not server.up and server.retry_at == 1


def test_only_so_many_conversations_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REMEMBERED", 3)
    one = Pool(servers(1))
    for number in range(9):
        chosen(one, str(number))
    assert list(one._homes) == ["6", "7", "8"]
