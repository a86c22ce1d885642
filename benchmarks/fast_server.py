"""The page on a backend of a given speed: python -m benchmarks.fast_server PORT TOKENS_PER_SECOND SECONDS"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Generator, Sequence

from app.backends.echo import EchoBackend
from app.messages import Chunk, Message, Usage
from app.sampling import SamplingParams
from app.settings import Settings
from app.ui.demo import build_demo, launch
from benchmarks.smooth import KINDS


class FastBackend(EchoBackend):
    """Says one kind of text at a steady rate, in bursts of a hundredth of a second as an engine's steps are.

    Args:
        rate: tokens a second. seconds: how long an answer lasts.
    """

    def __init__(self, rate: float, seconds: float) -> None:
        super().__init__(delay=0)
        self._rate, self._seconds = rate, seconds

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        """The text that the question names, then when its last token was due: a slow server is behind, too."""
        tokens = re.findall(r"\s*\S+|\s+", KINDS[messages[-1].text.strip()])
        began, said, wanted = time.monotonic(), 0, int(self._rate * self._seconds)
        end = time.time() + self._seconds
        while said < wanted:
            due = min(wanted, int((time.monotonic() - began) * self._rate))
            yield from (Chunk(tokens[number % len(tokens)]) for number in range(said, due))
            said = max(said, due)
            time.sleep(0.01)
        yield Chunk(f"\n\nEND-OF-ANSWER {end:.3f}")
        yield Chunk(finish_reason="stop", usage=Usage(new_tokens=said))


if __name__ == "__main__":
    settings = Settings(model="none", port=int(sys.argv[1]), backend="echo")
    launch(build_demo(FastBackend(float(sys.argv[2]), float(sys.argv[3])), settings), settings)
