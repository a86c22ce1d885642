"""Versions of a conversation: one path is shown, and no step loses another."""

from __future__ import annotations

import random

import pytest

from app.errors import RequestError
from app.messages import Message
from app.tree import ROOT, Place, Tree
from app.turn import Turn


def turn(name: str, answer: str = "yes") -> Turn:
    return Turn(Message.of("user", name), answer, "done", key=name)


def shown(tree: Tree) -> str:
    return " ".join(turn.key for turn in tree.path())


@pytest.fixture
def line() -> Tree:
    return Tree.of(map(turn, "abc"))


@pytest.fixture
def forked(line: Tree) -> Tree:
    """a b c, and instead of b and c: x y."""
    return line.branched("b", turn("x")).appended(turn("y"))


def test_a_line_is_shown_in_its_order(line: Tree) -> None:
    assert shown(line) == "a b c" and shown(Tree()) == ""


def test_a_branch_hides_what_came_after_and_shows_it_again(forked: Tree) -> None:
    assert shown(forked) == "a x y"
    assert shown(forked.showing("b")) == "a b c"
    assert shown(forked.showing("b").showing("x")) == "a x y"


def test_places_are_those_of_the_shown_turns(forked: Tree) -> None:
    assert forked.places() == {"a": Place(1, 1), "x": Place(2, 2), "y": Place(1, 1)}
    assert forked.versions("x") == forked.versions("b") == ["b", "x"]


def test_the_first_turn_has_versions_too(line: Tree) -> None:
    tree = line.branched("a", turn("z"))
    assert shown(tree) == "z" and tree.places()["z"] == Place(2, 2)


def test_a_version_that_was_never_answered_gives_way(line: Tree) -> None:
    tree = line.appended(turn("d", answer="")).branched("d", turn("e"))
    assert shown(tree) == "a b c e" and "d" not in tree.turns


def test_versions_that_asked_the_same_in_vain_do_not_pile_up(line: Tree) -> None:
    tree = line
    for key in "uvw":
        asked = Turn(Message.of("user", "primo"), "", "failed", key=key)
        tree = tree.branched("b", asked).showing("b")
    assert tree.versions("b") == ["b", "w"]
    tree = tree.branched("b", Turn(Message.of("user", "secondo"), "", "failed", key="x"))
    assert tree.versions("b") == ["b", "w", "x"]  # another text is not lost
    assert tree.branched("x", turn("y")).versions("b") == ["b", "w", "y"]


def test_a_version_without_an_answer_stays_where_something_was_said_behind_it(line: Tree) -> None:
    tree = line.branched("c", Turn(Message.of("user", "d"), "", "failed", key="d")).appended(turn("e"))
    assert shown(tree.branched("d", Turn(Message.of("user", "d"), "", "failed", key="f")).showing("d")) == "a b d e"


def test_nothing_changes_in_place(line: Tree) -> None:
    line.branched("b", turn("x")), line.removed("b"), line.replaced(turn("b", "no")), line.appended(turn("d"))
    assert shown(line) == "a b c" and line.turns["b"].answer == "yes"


def test_removing_keeps_what_came_after(forked: Tree, line: Tree) -> None:
    assert shown(forked.removed("a")) == "x y"
    assert shown(line.removed("b")) == "a c"


def test_removing_a_version_puts_what_came_after_behind_the_one_beside_it(forked: Tree) -> None:
    tree = forked.removed("x")
    assert shown(tree) == "a b y" and tree.versions("y") == ["c", "y"] and tree.places()["b"] == Place(1, 1)
    assert shown(tree.showing("c")) == "a b c"


def test_so_it_does_where_the_one_beside_it_was_made_later(line: Tree) -> None:
    tree = line.branched("a", turn("z")).showing("a").removed("a")
    assert shown(tree) == "z b c" and tree.versions("z") == ["z"]
    _check(tree)


def test_removing_keeps_the_order_of_the_versions(line: Tree) -> None:
    tree = line.branched("b", turn("x")).branched("b", turn("z")).showing("b").removed("b")
    assert tree.versions("x") == ["x", "z"] and shown(tree) == "a x c" and tree.places()["x"] == Place(1, 2)
    _check(tree)


def test_removing_a_last_version_shows_the_one_beside_it(line: Tree) -> None:
    tree = line.branched("c", turn("d"))
    assert shown(tree.removed("d")) == "a b c" and shown(line.removed("c")) == "a b"


def test_removing_what_is_not_shown_changes_nothing_on_the_page(forked: Tree) -> None:
    assert shown(forked.removed("b")) == "a x y"


@pytest.mark.parametrize("step", [Tree.turn, Tree.removed, Tree.showing, Tree.versions])
def test_an_unknown_key_is_refused(line: Tree, step) -> None:
    with pytest.raises(RequestError, match="no longer part"):
        step(line, "nonsense")


def test_any_order_of_steps_leaves_a_tree() -> None:
    for seed in range(60):
        chance, tree = random.Random(seed), Tree()
        for number in range(25):
            new, keys = turn(f"{number}", chance.choice(["", "yes"])), list(tree.turns)
            steps = [lambda new=new, tree=tree: tree.appended(new)]
            if keys:
                key = chance.choice(keys)
                steps += [
                    lambda key=key, new=new, tree=tree: tree.branched(key, new),
                    lambda key=key, tree=tree: tree.removed(key),
                    lambda key=key, tree=tree: tree.showing(key),
                ]
            tree = chance.choice(steps)()
            _check(tree)


def _check(tree: Tree) -> None:
    before = {ROOT}
    for key in tree.turns:
        assert tree.parents[key] in before
        before.add(key)
    assert set(tree.parents) == set(tree.turns)
    assert set(tree.chosen) == set(tree.parents.values())  # whatever has turns behind it shows one
    assert all(tree.parents[child] == parent for parent, child in tree.chosen.items())
