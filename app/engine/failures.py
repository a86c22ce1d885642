"""What fails in the middle of an answer, as errors a user can read, and the memory it held."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

import torch

from app.errors import AppError, GenerationError, OutOfMemoryError
from app.media.clip import Cancelled
from app.texts import Phrase

log = logging.getLogger(__name__)


def typed(error: Exception) -> AppError:
    """An unexpected error as one a user can read; its text, which may quote the prompt, is not repeated."""
    if is_out_of_memory(error):
        return OutOfMemoryError(
            Phrase("out_of_memory"),
            Phrase("do_use_less"),
        )
    log.warning("An answer failed with %s.", type(error).__name__)
    return GenerationError(Phrase("model_failed_type", type=type(error).__name__), Phrase("do_regenerate_or_new"))


def ending_of(error: Exception) -> AppError:
    """What ends a request, for its user; of what was unexpected the memory is given back.

    To be called where the error is caught, which then must not be raised again.
    """
    if isinstance(error, Cancelled):
        return GenerationError(Phrase("answer_cancelled"))
    if isinstance(error, AppError):
        return error
    found = typed(error)
    # The traceback's frames hold tensors; without it the memory of the failed answer is free again.
    error.__traceback__ = None
    free_device()
    return found


def is_out_of_memory(error: Exception) -> bool:
    """Whether it is the memory, of whichever device, that ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # CPU and MPS allocators raise plain RuntimeErrors.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def with_relief(work: Callable[[], None], begun: Callable[[], bool], reliefs: Iterable[Callable[[], bool]]) -> None:
    """Do what needs memory; where it runs out, once more after each way to get some.

    Args:
        begun: whether some of the answer is out, so that it cannot be begun again.
        reliefs: make room, in the order in which they are tried; each tells whether there was any.

    Raises:
        Exception: what the work raises, once nothing is left to try.
    """
    left = iter(reliefs)
    while True:
        try:
            return work()
        except Exception as error:
            if not is_out_of_memory(error) or begun():
                raise
            # The traceback's frames hold tensors.
            error.__traceback__ = None
            if not any(relief() for relief in left):
                raise
        free_device()


def free_device() -> None:
    """Give back what nothing uses any more."""
    gc.collect()
    with suppress(RuntimeError):  # a device that has failed says so here once more
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()
