"""Which replica a request goes to."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

SLACK = 4  # requests that a home may have more than the least loaded replica before it is left


def ranked(conversation: str, loads: Mapping[str, int | None], avoided: Collection[str] = ()) -> list[list[str]]:
    """Names of replicas, the best first; within one rank the least loaded is to be taken.

    A conversation's home is the same wherever it is asked for, without anything to remember, and when a replica comes
    or goes only the conversations that gain or lose their home by it move (rendezvous hashing).

    Args:
        conversation: its key; empty has no home.
        loads: requests of each replica by name; None where that is not known.
        avoided: replicas that come last, and are nobody's home.
    """
    last = [sorted(name for name in loads if name in avoided)]
    names = sorted(name for name in loads if name not in avoided)
    if not conversation or not names:
        ranks = [names]
    else:
        home = _home(conversation, names)
        others = [name for name in names if name != home]
        ranks = [others, [home]] if _overloaded(home, others, loads) else [[home], others]
    return [rank for rank in ranks + last if rank]


def unknown(conversation: str, loads: Mapping[str, int | None], avoided: Collection[str] = ()) -> list[str]:
    """Replicas whose loads `ranked` should know and does not: the home's, and where that has much to do the others'."""
    names = sorted(name for name in loads if name not in avoided)
    if not conversation or not names:
        return []
    home = _home(conversation, names)
    at_home = loads[home]
    if at_home is None:
        return [home]
    # With less it is no more than SLACK above anything.
    return [name for name in names if loads[name] is None] if at_home > SLACK else []


def session_of(conversation: str, avoided: Collection[str] = ()) -> str:
    """What Ray carries to the router with a request: one string."""
    return " ".join([conversation, *avoided])


def parted(session: str) -> tuple[str, frozenset[str]]:
    """The conversation's key and the replicas to avoid, of what `session_of` made."""
    conversation, *avoided = session.split(" ")
    return conversation, frozenset(avoided)


def _home(conversation: str, names: Sequence[str]) -> str:
    return max(names, key=lambda name: _weight(conversation, name))


def _overloaded(home: str, others: Sequence[str], loads: Mapping[str, int | None]) -> bool:
    """Whether waiting at home costs more than computing anew elsewhere; what is not known is no reason to leave."""
    at_home, known = loads[home], [load for name in others if (load := loads[name]) is not None]
    return at_home is not None and bool(known) and at_home > min(known) + SLACK


def _weight(conversation: str, name: str) -> bytes:
    return hashlib.blake2b(f"{conversation}\n{name}".encode(), digest_size=8).digest()
