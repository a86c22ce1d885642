"""Texts at which an answer ends."""

from __future__ import annotations

import pytest

from app.stop_texts import StopTexts


def shown(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    stop = StopTexts(stops)
    text = "".join(stop.push(piece) for piece in pieces)
    return text + stop.finish(), stop.found


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("stops", "text", "before", "found"),
    [
        (["END"], "one END two", "one ", True),
        (["END"], "one EN", "one EN", False),
        (["two", "one"], "zero one two", "zero ", True),
        (["aab"], "aaab", "a", True),
        (["abc", "b"], "abd", "a", True),
        ([], "anything", "anything", False),
    ],
)
def test_the_text_before_the_first_stop_in_pieces_of_any_size(
    stops: list[str], text: str, before: str, found: bool, size: int
) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert shown(stops, pieces) == (before, found)


def test_only_what_may_begin_a_stop_is_held_back() -> None:
    stop = StopTexts(["END"])
    assert [stop.push(piece) for piece in ("an", "swer E", "N", "x")] == ["an", "swer ", "", "ENx"]


def test_nothing_comes_after_a_stop() -> None:
    stop = StopTexts(["."])
    assert (stop.push("a.b"), stop.push("c"), stop.finish()) == ("a", "", "")
