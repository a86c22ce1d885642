"""What can be wrong with training data.

AppError
├── DataError      the data file as a whole: unreadable, no JSON, nothing good in it
└── SampleError    one entry of it; training skips it and says so
"""

from __future__ import annotations

from typing import Literal

from app.errors import AppError

Kind = Literal["form", "roles", "empty", "marks", "media", "length", "model"]


class DataError(AppError):
    """A data file cannot be trained on."""


class SampleError(AppError):
    """One entry cannot be trained on.

    Args:
        line: where the entry begins in the data file, from 1.
        kind: what is wrong: its form, the order of roles, an empty answer, marks, media, its length, or something
            that this model does not take.
        message: as for `AppError`; `str(error)` puts the line in front.
    """

    def __init__(self, line: int, kind: Kind, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.line = line
        self.kind = kind

    def __str__(self) -> str:
        return f"line {self.line}: {super().__str__()}"

    def __reduce__(self) -> tuple[object, ...]:
        # Errors come back from the processes that load data.
        return type(self), (self.line, self.kind, self.message, self.hint)
