"""A conversation with all its versions: a tree of turns, of which one path is shown and seen by the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from app.errors import RequestError
from app.texts import Phrase
from app.turn import Turn

ROOT = ""  # the parent of the first turns


class Place(NamedTuple):
    """Which of the versions of a turn one is, counted from 1."""

    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Tree:
    """All versions of a conversation; nothing here changes, every step gives a new tree.

    Attributes:
        turns: by key, each behind its parent; versions of one turn in the order in which they were made.
        parents: the key of the turn before, or `ROOT`.
        chosen: by the key of a turn, or `ROOT`: which of the turns behind it is shown.
    """

    turns: Mapping[str, Turn] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, turns: Iterable[Turn]) -> Tree:
        """A conversation of one version."""
        tree = cls()
        for turn in turns:
            tree = tree.appended(turn)
        return tree

    def path(self) -> list[Turn]:
        """The turns that are shown, the first one first."""
        path: list[Turn] = []
        key = self.chosen.get(ROOT)
        while key is not None:
            path.append(self.turns[key])
            key = self.chosen.get(key)
        return path

    def versions(self, key: str) -> list[str]:
        """Keys of all versions of a turn, itself among them.

        Raises:
            RequestError: no turn has this key.
        """
        parent = self.parents[self.turn(key).key]
        return [other for other in self.turns if self.parents[other] == parent]

    def places(self) -> dict[str, Place]:
        """Which version each shown turn is."""
        beside: dict[str, list[str]] = {}
        for key, parent in self.parents.items():
            beside.setdefault(parent, []).append(key)
        shown = {key: beside[self.parents[key]] for key in (turn.key for turn in self.path())}
        return {key: Place(keys.index(key) + 1, len(keys)) for key, keys in shown.items()}

    def turn(self, key: str) -> Turn:
        """The turn of a key.

        Raises:
            RequestError: there is none.
        """
        if key not in self.turns:
            raise RequestError(Phrase("message_gone"), Phrase("do_reload"))
        return self.turns[key]

    def appended(self, turn: Turn) -> Tree:
        """With one more turn behind those shown."""
        path = self.path()
        return self._with(turn, path[-1].key if path else ROOT)

    def branched(self, key: str, turn: Turn) -> Tree:
        """With another version of a turn, which is shown; a version that was never answered gives way to it.

        Raises:
            RequestError: no turn has this key.
        """
        old = self.turn(key)
        if not old.answer and key not in self.chosen:
            return self._without(key)._with(turn, self.parents[key])
        return self._with(turn, self.parents[key])

    def replaced(self, turn: Turn) -> Tree:
        """With a turn in place of the one of the same key."""
        self.turn(turn.key)
        return replace(self, turns={**self.turns, turn.key: turn})

    def removed(self, key: str) -> Tree:
        """Without a turn; what comes behind it stays, and of a last turn the version next to it is shown.

        Raises:
            RequestError: no turn has this key.
        """
        parent, versions = self.parents[self.turn(key).key], self.versions(key)
        if self.chosen.get(parent) != key:
            return self._without(key)
        at = versions.index(key)
        rest = [other for other in versions if other != key]
        after = self.chosen.get(key) or (rest[min(at, len(rest) - 1)] if rest else None)
        tree = self._without(key)
        chosen = {above: child for above, child in tree.chosen.items() if above != parent}
        return replace(tree, chosen={**chosen, parent: after} if after else chosen)

    def showing(self, key: str) -> Tree:
        """With this version of a turn shown, and behind it what was shown there last.

        Raises:
            RequestError: no turn has this key.
        """
        return replace(self, chosen={**self.chosen, self.parents[self.turn(key).key]: key})

    def _with(self, turn: Turn, parent: str) -> Tree:
        return Tree(
            {**self.turns, turn.key: turn},
            {**self.parents, turn.key: parent},
            {**self.chosen, parent: turn.key},
        )

    def _without(self, key: str) -> Tree:
        """Without a turn; turns behind it move up, unseen unless they are chosen."""
        up = self.parents[key]
        return Tree(
            {other: turn for other, turn in self.turns.items() if other != key},
            {other: up if parent == key else parent for other, parent in self.parents.items() if other != key},
            {parent: child for parent, child in self.chosen.items() if parent != key and child != key},
        )
