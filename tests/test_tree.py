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


def test_nothing_changes_in_place(line: Tree) -> None:
    line.branched("b", turn("x")), line.removed("b"), line.replaced(turn("b", "no")), line.appended(turn("d"))
    assert shown(line) == "a b c" and line.turns["b"].answer == "yes"


def test_removing_keeps_what_came_after(forked: Tree) -> None:
    assert shown(forked.removed("x")) == "a y"
    assert shown(forked.removed("x").showing("b")) == "a b c"
    assert shown(forked.removed("a")) == "x y"


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
