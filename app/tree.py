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
        """With another version of a turn, which is shown.

        The version it is made of gives way to it if that was never answered, and so does any that asked the same.

        Raises:
            RequestError: no turn has this key.
        """
        tree, parent = self, self.parents[self.turn(key).key]
        for other in self.versions(key):
            old = self.turns[other]
            if not old.answer and other not in self.chosen and (other == key or old.user == turn.user):
                tree = tree._without(other, parent)
        return tree._with(turn, parent)

    def replaced(self, turn: Turn) -> Tree:
        """With a turn in place of the one of the same key."""
        self.turn(turn.key)
        return replace(self, turns={**self.turns, turn.key: turn})

    def removed(self, key: str) -> Tree:
        """Without a turn; the version next to it is shown then, and takes what came behind.

        Where there is no other version, what came behind moves up. What was shown behind the turn is still shown.

        Raises:
            RequestError: no turn has this key.
        """
        parent, versions = self.parents[self.turn(key).key], self.versions(key)
        at, rest = versions.index(key), [other for other in versions if other != key]
        heir = rest[min(at, len(rest) - 1)] if rest else parent
        shown, after = self.chosen.get(parent) == key, self.chosen.get(key)
        tree = self._without(key, heir)
        chosen = dict(tree.chosen)
        if shown and rest:
            chosen[parent] = heir
        if after and (shown or heir not in chosen):
            chosen[heir] = after
        return replace(tree, chosen=chosen)

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

    def _without(self, key: str, heir: str) -> Tree:
        """Without a turn; those behind it go behind the heir, its parent or the version next to it, not chosen."""
        order = [other for other in self.turns if other != key]
        if heir in self.turns and list(self.turns).index(heir) > list(self.turns).index(key):
            # No turn stands before its parent, so a later version takes the place of the one that goes.
            order = [heir if other == key else other for other in self.turns if other != heir]
        return Tree(
            {other: self.turns[other] for other in order},
            {other: heir if self.parents[other] == key else self.parents[other] for other in order},
            {parent: child for parent, child in self.chosen.items() if parent != key and child != key},
        )
