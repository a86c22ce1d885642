"""The page on a backend that answers with the very text it was sent: python verbatim_server.py PORT"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.backends.echo import EchoBackend
from app.messages import Chunk, Message, Usage
from app.sampling import SamplingParams
from app.settings import Settings
from app.ui.demo import build_demo, launch


class Verbatim(EchoBackend):
    """Says what it hears."""

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        yield Chunk(messages[-1].text)
        yield Chunk(finish_reason="stop", usage=Usage(new_tokens=2))


if __name__ == "__main__":
    settings = Settings(model="none", port=int(sys.argv[1]), backend="echo")
    launch(build_demo(Verbatim(), settings), settings)
