"""Every error this product raises on purpose.

    AppError
    ├── SettingsError              a flag or an environment variable
    ├── OptionError                a decoding option: unknown, of the wrong type, out of range
    ├── ModelError
    │   ├── ModelNotFoundError     neither a folder nor a repository that can be reached
    │   ├── UnsupportedModelError  a config.json of no known family
    │   ├── CheckpointError        missing, unexpected or contradictory weights or files
    │   └── AdapterError           a fine-tuned adapter that is none, is of another kind or does not fit the model
    ├── DeviceError                device, dtype or quantisation this machine cannot run
    ├── MediaError
    │   ├── ImageError
    │   └── VideoError
    ├── RequestError               a conversation the model cannot take
    │   └── TooLongError           it does not fit the context
    │       └── ContextLengthError
    └── GenerationError            the model failed while answering
        ├── OutOfMemoryError
        ├── BackendBusyError       the queue is full
        └── EngineDownError        another engine, which is to answer, does not

A message says what was got and what is allowed; `hint` says what to do about it. `str(error)` joins both.
"""

from __future__ import annotations

import copyreg
from typing import Any

from app.texts import Phrase


class AppError(Exception):
    """Base of all errors meant to be read by a user.

    Args:
        message: what was got and what is allowed, one or two sentences.
        hint: what to do, one sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return str(self.said)

    @property
    def said(self) -> str:
        """Message and hint in one; a `Phrase` if they are, so that it can be had in other languages."""
        return Phrase("said", message=self.message, hint=self.hint) if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the arguments, which differ by kind: errors travel between processes.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class SettingsError(AppError):
    """A flag or environment variable cannot be used."""


class OptionError(AppError):
    """A decoding option is unknown, of the wrong type or out of range."""


class ModelError(AppError):
    """A model cannot be loaded."""


class ModelNotFoundError(ModelError):
    """The name is neither a folder nor a repository that can be reached."""


class UnsupportedModelError(ModelError):
    """The config.json belongs to no known family."""


class CheckpointError(ModelError):
    """Weights or files are missing, unexpected or contradict each other."""


class AdapterError(ModelError):
    """An adapter is missing, of a kind that cannot be used, or does not fit the model."""


class DeviceError(AppError):
    """The device, dtype or quantisation cannot run on this machine."""


class MediaError(AppError):
    """A file cannot be used."""


class ImageError(MediaError):
    """An image is broken, too large or of an unknown kind."""


class VideoError(MediaError):
    """A video is broken, empty or has no picture."""


class RequestError(AppError):
    """The model cannot take this conversation."""


class TooLongError(RequestError):
    """The conversation does not fit the model's context."""


class ContextLengthError(TooLongError):
    """A single turn is longer than the model's context.

    Args:
        tokens: tokens of the turn, placeholders of images included.
        limit: tokens that fit.
    """

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            Phrase("turn_too_long", tokens=tokens, limit=limit),
            Phrase("do_shorter_turn"),
        )
        self.tokens = tokens
        self.limit = limit


class GenerationError(AppError):
    """The model failed while it answered."""


class OutOfMemoryError(GenerationError):
    """The device ran out of memory."""


class BackendBusyError(GenerationError):
    """Too many requests wait already.

    Args:
        retry_after: seconds after which there is likely to be room; None if that is not known.
    """

    def __init__(self, message: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class EngineDownError(GenerationError):
    """An engine elsewhere answers nobody, which may pass."""
