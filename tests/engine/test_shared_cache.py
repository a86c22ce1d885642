"""What several threads want at once is made once, and who does not wait any more harms nobody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from cachetools import LRUCache

from app.engine.shared_cache import SharedCache
from app.media.clip import Cancelled


def check() -> None:
    """Somebody waits."""


def test_what_two_want_at_once_is_made_once() -> None:
    cache, made = SharedCache[str](), []
    begun, go_on = Event(), Event()

    def make() -> str:
        begun.set()
        made.append("made")
        assert go_on.wait(10)
        return "value"

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get, "key", make, check)
        assert begun.wait(10)
        others = [pool.submit(cache.get, "key", make, go_on.set) for _ in range(3)]
        assert [one.result(10) for one in (first, *others)] == ["value"] * 4
    assert made == ["made"]


def test_where_the_first_fails_the_next_makes_it_and_who_is_cancelled_waits_no_longer() -> None:
    cache = SharedCache[str]()
    begun, fail, cancelled = Event(), Event(), Event()

    def failing() -> str:
        begun.set()
        assert fail.wait(10)
        raise Cancelled

    def give_up() -> None:
        cancelled.set()
        raise Cancelled

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(cache.get, "key", failing, check)
        assert begun.wait(10)
        gone = pool.submit(cache.get, "key", lambda: "never", give_up)
        with pytest.raises(Cancelled):
            gone.result(10)
        second = pool.submit(cache.get, "key", lambda: "value", fail.set)
        with pytest.raises(Cancelled):
            first.result(10)
        assert cancelled.is_set() and second.result(10) == "value"


def test_others_do_not_wait_and_what_is_too_large_is_given_all_the_same() -> None:
    cache = SharedCache[str](LRUCache(3, getsizeof=len))
    with ThreadPoolExecutor(2) as pool:
        other = Event()
        slow = pool.submit(cache.get, "slow", lambda: str(other.wait(10)), check)
        assert pool.submit(cache.get, "quick", lambda: "abc", check).result(10) == "abc"
        other.set()
        assert slow.result(10) == "True"
    assert cache.get("quick", lambda: "new", check) == "abc"
