"""What the package `spaces` does on ZeroGPU, without a GPU: the same interface, real forks, everything pickled."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pickle
from collections.abc import Callable, Generator
from types import ModuleType
from typing import Any


class Refused(Exception):
    """As `gr.Error` is: for the visitor, with a title."""

    title, message = "ZeroGPU quota exceeded", "You have exceeded your free ZeroGPU quota (60s requested vs. 3s left). "


class Lender(ModuleType):
    """The module; its `seconds` are what was asked for, `pids` the forks that answered."""

    def __init__(self) -> None:
        super().__init__("spaces")
        self.seconds: list[int] = []
        self.pids: list[int] = []
        self.refuses = False

    def GPU(self, task: Callable[..., Any], *, duration: Callable[..., int]) -> Callable[..., Any]:
        """Let a generator function run in forks."""
        assert inspect.isgeneratorfunction(task), "the package would call it in one go"

        def lent(*args: Any) -> Generator[Any, None, None]:
            self.seconds.append(duration(*args))
            if self.refuses:
                raise Refused
            yield from self._run(task, args)

        return lent

    def _run(self, task: Callable[..., Any], args: tuple[Any, ...]) -> Generator[Any, None, None]:
        context = multiprocessing.get_context("fork")
        results, stop = context.SimpleQueue(), context.Event()
        process = context.Process(target=_work, args=(task, pickle.dumps(args), results, stop), daemon=True)
        process.start()
        self.pids.append(process.pid or 0)
        try:
            while (result := pickle.loads(results.get())) is not None:
                yield result
        except GeneratorExit:
            stop.set()
            while pickle.loads(results.get()) is not None:
                pass
            raise
        finally:
            process.join(30)


def _work(task: Callable[..., Any], args: bytes, results: Any, stop: Any) -> None:
    answers = task(*pickle.loads(args))
    for answer in answers:
        if stop.is_set():
            answers.close()
            break
        results.put(pickle.dumps(answer))
    results.put(pickle.dumps(None))
    os._exit(0)
