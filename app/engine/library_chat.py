"""`model.chat` for the members whose classes are the library's own, which have none."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from queue import SimpleQueue
from time import monotonic
from typing import Any

from app.engine.answer import Job, answer
from app.engine.caches import Caches
from app.engine.failures import ending_of
from app.engine.loader import LoadedModel
from app.errors import AppError
from app.messages import Chunk, Image, Message, Part, Text
from app.sampling import SamplingParams


class LibraryChat:
    """Asks a loaded model one question at a time, with nothing kept between them."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    def chat(
        self,
        image: Any = None,
        msgs: Sequence[Mapping[str, Any]] = (),
        tokenizer: Any = None,
        sampling: bool = True,
        stream: bool = False,
        max_new_tokens: int | None = None,
        num_beams: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        repetition_penalty: float | None = None,
        seed: int | None = None,
        max_slice_nums: int | None = None,
        system_prompt: str | None = None,
        enable_thinking: bool | None = None,
        downsample_mode: str | None = None,
    ) -> str | Iterator[str]:
        """The answer to a conversation, or its pieces.

        Args:
            image: a PIL image in front of the first message, or None.
            msgs: `{"role": "user" | "assistant", "content": str, or a list of texts and PIL images}`.
            tokenizer: not used; the other members' `chat` takes one.

        Raises:
            AppError: the conversation or an option cannot be taken.
        """
        given = {"max_new_tokens": max_new_tokens, "num_beams": num_beams, "temperature": temperature, "top_p": top_p,
                 "top_k": top_k, "repetition_penalty": repetition_penalty, "seed": seed,
                 "max_slice_nums": max_slice_nums, "system_prompt": system_prompt,
                 "enable_thinking": enable_thinking, "downsample_mode": downsample_mode}  # fmt: skip
        options = {name: value for name, value in given.items() if value is not None}
        params = SamplingParams.of({"do_sample": sampling, **options}, self._loaded.family.defaults)
        messages = [Message(one["role"], _parts(one["content"])) for one in msgs]
        if image is not None:
            messages[0] = Message(messages[0].role, (Image(image), *messages[0].content))
        pieces = self._pieces(messages, params)
        return pieces if stream else "".join(pieces)

    def _pieces(self, messages: Sequence[Message], params: SamplingParams) -> Iterator[str]:
        """Texts as they are written; closing this ends the work."""
        events: SimpleQueue[Chunk | AppError | None] = SimpleQueue()
        stop = threading.Event()
        job = Job(messages, params, events.put, stop.is_set, monotonic())

        def work() -> None:
            try:
                answer(self._loaded, job, Caches.of(self._loaded.runner, 0))
                events.put(None)
            except Exception as error:
                events.put(ending_of(error))

        writing = threading.Thread(target=work, name="chat", daemon=True)
        writing.start()
        try:
            while (event := events.get()) is not None:
                if isinstance(event, AppError):
                    raise event
                if event.text:
                    yield event.text
        finally:
            stop.set()
            writing.join()


def _parts(content: Any) -> tuple[Part, ...]:
    parts = [content] if isinstance(content, str) or not isinstance(content, Sequence) else content
    return tuple(Text(part) if isinstance(part, str) else Image(part) for part in parts)
