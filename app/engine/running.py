"""What runs in the batched engine."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from app.engine.answer import Job
from app.engine.choice import Choice
from app.engine.tickets import Ticket
from app.engine.tokens import Tokens
from app.modeling.runner import Prompt

# Of the scheduler, which an answer that has begun survives.
MOST_CRASHES = 3


@dataclass(slots=True, eq=False)
class Running:
    """A request in the batch.

    Attributes:
        ids: of the prompt, pictures under ids of their own. pictures: their digests. unread: of those, the ones whose
            features the scheduler still needs, as far as it is known.
        encoded: slices that were encoded for it.
        taken: tokens handed out since the scheduler got it. crashes: of the scheduler while it ran.
    """

    ticket: Ticket
    job: Job
    prompt: Prompt
    tokens: Tokens
    choice: Choice
    ids: list[int]
    pictures: list[bytes] = field(default_factory=list)
    unread: list[bytes] = field(default_factory=list)
    encoded: int = 0
    taken: int = 0
    crashes: int = 0

    @property
    def hopeless(self) -> bool:
        """Whether it fails with the next scheduler too, as far as one can tell: a prompt that never got through."""
        return self.crashes > (MOST_CRASHES if self.tokens.count else 1)


@dataclass(slots=True, eq=False)
class Batch:
    """What runs, by the scheduler's names."""

    requests: dict[str, Running] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
