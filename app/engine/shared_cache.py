"""A cache that several threads fill: what two of them want at once is made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, MutableMapping
from contextlib import suppress
from threading import Event, Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")

TICK = 0.02  # seconds between two looks at whether somebody still waits


class SharedCache(Generic[Value]):
    """Values by key.

    Args:
        kept: holds them, and may forget some; {} forgets none.
    """

    def __init__(self, kept: MutableMapping[Hashable, Value] | None = None) -> None:
        self._kept: MutableMapping[Hashable, Value] = {} if kept is None else kept
        self._making: dict[Hashable, Event] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Value], check: Callable[[], None]) -> Value:
        """What is kept, or else what `make` gives; where it fails, only the thread that called it fails.

        Args:
            check: called while another thread makes it; may raise to wait no longer.
        """
        while True:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
                making = self._making.get(key)
                if making is None:
                    self._making[key] = Event()
                    break
            while not making.wait(TICK):
                check()
        try:
            value = make()
            with self._lock, suppress(ValueError):  # larger than all that may be kept
                self._kept[key] = value
            return value
        finally:
            self._making.pop(key).set()
