"""Which replica a request goes to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

SLACK = 4  # requests that a home may have more than the least loaded replica before it is left


def ranked(conversation: str, loads: Mapping[str, int | None]) -> list[list[str]]:
    """Names of replicas, the best first; within one rank the least loaded is to be taken.

    A conversation's home is the same wherever it is asked for, without anything to remember, and when a replica comes
    or goes only the conversations that gain or lose their home by it move (rendezvous hashing).

    Args:
        conversation: its key; empty has no home.
        loads: requests of each replica by name; None where that is not known.
    """
    names = sorted(loads)
    if not conversation or not names:
        return [names]
    home = max(names, key=lambda name: _weight(conversation, name))
    others = [name for name in names if name != home]
    if not others:
        return [[home]]
    return [others, [home]] if _overloaded(home, others, loads) else [[home], others]


def _overloaded(home: str, others: Sequence[str], loads: Mapping[str, int | None]) -> bool:
    """Whether waiting at home costs more than computing anew elsewhere."""
    least = min(loads[name] or 0 for name in others)
    return (loads[home] or 0) > least + SLACK


def _weight(conversation: str, name: str) -> bytes:
    return hashlib.blake2b(f"{conversation}\n{name}".encode(), digest_size=8).digest()
