"""What fails in the middle of an answer, as errors a user can read, and the memory it held."""

from __future__ import annotations

import gc
import logging

import torch

from app.errors import AppError, GenerationError, OutOfMemoryError
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


def is_out_of_memory(error: Exception) -> bool:
    """Whether it is the memory, of whichever device, that ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # CPU and MPS allocators raise plain RuntimeErrors.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def free_device() -> None:
    """Give back what nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
