"""What a model writes of places is read; whatever else it writes stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from app.boxes import Mark, Shape, plain_words, read_marks, without_open_mark

numbers = some.integers(0, 1000)
boxes = some.tuples(numbers, numbers, numbers, numbers).map(lambda four: f"<box>{' '.join(map(str, four))}</box>")
quads = some.lists(numbers, min_size=8, max_size=8).map(lambda eight: f"<quad>{' '.join(map(str, eight))}</quad>")
points = some.tuples(numbers, numbers).map(lambda two: f"<point>{two[0]} {two[1]}</point>")
names = some.text(some.characters(blacklist_characters="<>\n"), min_size=1, max_size=30)
marks = some.builds(
    lambda name, shapes: (f"<ref>{name}</ref>" if name else "") + "".join(shapes),
    some.one_of(some.just(""), names),
    some.lists(some.one_of(boxes, quads, points), min_size=1, max_size=4),
)
# Pieces of markup in any order, whole and broken.
rubble = some.lists(
    some.one_of(
        some.sampled_from(
            "<ref> </ref> <box> </box> <quad> </quad> <point> </point> < > </ ref box 1 2000 , ; \n".split(" ")
        ),
        marks,
        some.text(max_size=8),
    ),
    max_size=30,
).map("".join)  # fmt: skip


def joined(text: str) -> str:
    return "".join(piece if isinstance(piece, str) else piece.source for piece in read_marks(text))


def found(text: str) -> list[Mark]:
    return [piece for piece in read_marks(text) if isinstance(piece, Mark)]


@given(rubble)
@settings(max_examples=400, deadline=None)
def test_nothing_is_lost_or_invented(text: str) -> None:
    assert joined(text) == text
    for mark in found(text):
        assert mark.shapes and all(0 <= value <= 1000 for shape in mark.shapes for at in shape.points for value in at)


@given(some.lists(marks, min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_every_whole_mark_is_found(parts: list[str]) -> None:
    assert [mark.source for mark in found("\n".join(parts))] == parts


@given(rubble, some.integers(0, 200))
@settings(max_examples=300, deadline=None)
def test_a_growing_text_only_grows(text: str, cut: int) -> None:
    shown = without_open_mark(text[:cut])
    assert text.startswith(shown)
    # What was shown once, be it text or a name, is never taken back.
    assert without_open_mark(text[: cut + 1]).startswith(shown) or not shown


@given(marks)
@settings(max_examples=200, deadline=None)
def test_a_mark_never_shows_half(mark: str) -> None:
    for end in range(1, len(mark)):
        for piece in read_marks("see " + without_open_mark(mark[:end])):
            assert not isinstance(piece, str) or piece == "see "


@pytest.mark.parametrize(
    ("text", "name", "shapes"),
    [
        ("<ref>a cat</ref><box>1 2 30 40</box>", "a cat", [Shape("box", ((1, 2), (30, 40)))]),
        ("<box>30 40 1 2</box>", "", [Shape("box", ((1, 2), (30, 40)))]),
        ("<box>1,2,3,4</box>", "", [Shape("box", ((1, 2), (3, 4)))]),
        ("<box>(1,2),(3,4)</box>", "", [Shape("box", ((1, 2), (3, 4)))]),
        ("<box>[1, 2, 3, 4]</box>", "", [Shape("box", ((1, 2), (3, 4)))]),
        ("<box>1 2 3 4;5 6 7 8</box>", "", [Shape("box", ((1, 2), (3, 4))), Shape("box", ((5, 6), (7, 8)))]),
        ("<box>5 6</box>", "", [Shape("point", ((5, 6),))]),
        ("<point>5 6</point>", "", [Shape("point", ((5, 6),))]),
        ("<quad>1 2 3 4 5 6 7 8</quad>", "", [Shape("quad", ((1, 2), (3, 4), (5, 6), (7, 8)))]),
        ("<box>0.5 0 999.5 1000</box>", "", [Shape("box", ((0.5, 0), (999.5, 1000)))]),
        ("<ref>x</ref> <box>1 2 3 4</box> <box>5 6 7 8</box>", "x",
         [Shape("box", ((1, 2), (3, 4))), Shape("box", ((5, 6), (7, 8)))]),
    ],
)  # fmt: skip
def test_forms_that_are_read(text: str, name: str, shapes: list[Shape]) -> None:
    assert found(text) == [Mark(name, tuple(shapes), text)]


@pytest.mark.parametrize(
    "text",
    [
        "<box>1 2 3</box>",
        "<box>1 2 3 1001</box>",
        "<box>a b c d</box>",
        "<box></box>",
        "<box>1 2 3 4",
        "<box>1 2 3 4</quad>",
        "<quad>1 2 3 4</quad>",
        "<ref>alone</ref>",
        "<box>-1 2 3 4</box>",
        "<box>1 2\n3 4",
    ],
)
def test_broken_marks_stay_text(text: str) -> None:
    assert read_marks(text) == [text]


def test_long_answers_take_no_longer_than_they_are_long() -> None:
    assert joined("<ref>" * 20_000) == "<ref>" * 20_000
    assert joined("<box>1 2 3 4" * 20_000).count("<box>") == 20_000
    assert without_open_mark("x" * 100_000 + "<ref>cat") == "x" * 100_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where is <ref>the cat</ref>?", "Where is the cat?"),
        ("<ref>a cat</ref><box>1 2 3 4</box> sleeps", "a cat sleeps"),
        ("What is in <box>1 2 3 4</box>?", "What is in?"),
        ("See <point>1 2</point> here", "See here"),
        ("<box>1 2 3 4</box>", ""),
        ("a <box>b</box> and <ref>c", "a <box>b</box> and <ref>c"),
    ],
)
def test_words_without_markup(text: str, words: str) -> None:
    assert plain_words(text) == words
