"""Parts of generation that the library does not have, or has otherwise than these models were released with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor, TextIteratorStreamer


class GeneratedRepetitionPenalty(RepetitionPenaltyLogitsProcessor):
    """Repetition penalty over generated tokens only, prompts given as embeddings.

    The library subtracts a left-padded row's padding from what it penalises even where the prompt has no ids, so
    the first tokens of shorter rows went unpenalised. As its own class it also does not clash with the built-in.
    """

    def __init__(self, penalty: float) -> None:
        super().__init__(float(penalty))


def penalised(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Generation kwargs in which `repetition_penalty` became `GeneratedRepetitionPenalty`."""
    penalty = kwargs.pop("repetition_penalty", None)
    if penalty is None or penalty == 1.0:
        return kwargs
    processors = LogitsProcessorList([GeneratedRepetitionPenalty(penalty), *kwargs.pop("logits_processor", [])])
    return kwargs | {"logits_processor": processors}


def unify_end(rows: Tensor, terminators: Sequence[int]) -> None:
    """Write the first of the end tokens for whichever ended a beam, in place.

    Which one it was is lost in the library that the models were released with; their ids are compared with its.
    """
    rows[torch.isin(rows, torch.tensor(list(terminators), device=rows.device))] = terminators[0]


def trim_answer(row: Tensor | Sequence[int], terminators: Sequence[int], bos_token_id: int | None) -> list[int]:
    """Ids of one answer without a leading BOS and without its end token and the padding after it."""
    ids = [int(token) for token in row]
    end = next((at for at, token in enumerate(ids) if token in terminators), len(ids))
    start = 1 if ids[:1] == [bos_token_id] and bos_token_id is not None else 0
    return ids[min(start, end) : end]


class _Closed(Exception):
    """Nobody reads the text any more."""


class _ClosableStreamer(TextIteratorStreamer):
    """A streamer that ends the generation feeding it once it is closed."""

    closed = False

    def put(self, value: Any) -> None:
        if self.closed:
            raise _Closed
        super().put(value)


def stream_text(
    generate: Callable[[TextIteratorStreamer], Any], tokenizer: Any, terminators: Sequence[str]
) -> Iterator[str]:
    """Run `generate` in a thread and yield its text as it comes.

    Args:
        generate: runs a generation that feeds the streamer it is given.
        tokenizer: decodes the tokens; special tokens are kept, `terminators` are taken out.

    Closing the iterator ends the generation at its next token.

    Raises:
        Exception: what `generate` raised, once the text before it was yielded.
    """
    streamer = _ClosableStreamer(tokenizer)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            generate(streamer)
        except _Closed:
            return
        except BaseException as error:
            failure.append(error)
            streamer.end()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for piece in streamer:
            for terminator in terminators:
                piece = piece.replace(terminator, "")
            yield piece
    finally:
        streamer.closed = True
        thread.join()
    if failure:
        raise failure[0]
