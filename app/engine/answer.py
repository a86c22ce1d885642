"""One answer, from messages to tokens, on a model that belongs to the caller meanwhile."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from app.engine.caches import Caches
from app.engine.conversation import MediaReader, fit_context
from app.engine.detokenizer import StreamDecoder
from app.engine.loader import LoadedModel
from app.engine.logprobs import Logprobs, Scored, score, watched
from app.engine.peak import Peak
from app.engine.token_texts import TokenTexts
from app.engine.tokens import Emit, Tokens
from app.media.clip import Cancelled
from app.media.video import Reader
from app.messages import Chunk, FinishReason, Message, Notice, Progress, Stage, Usage
from app.modeling.runner import Prompt, Turn, has_video
from app.sampling import SamplingParams
from app.stop_texts import StopTexts


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked and how to report on it.

    Attributes:
        emit: takes every chunk of the answer.
        cancelled: asked between all steps; True ends the work with `Cancelled`.
        submitted: `time.monotonic()` of the request; the time to the first token counts from here.
    """

    messages: Sequence[Message]
    params: SamplingParams
    emit: Emit
    cancelled: Callable[[], bool]
    submitted: float

    def check(self) -> None:
        """Raises `Cancelled` if nobody waits for the answer any more."""
        if self.cancelled():
            raise Cancelled

    def progress(self, stage: Stage) -> Callable[[int, int], None]:
        """A hook that reports how far a stage is, and ends it when cancelled."""

        def report(done: int, total: int) -> None:
            self.check()
            self.emit(Chunk(progress=Progress(stage, done, total)))

        return report


class _StepHook(LogitsProcessor):
    """Called before each token is chosen, whatever the search: the place to stop and to report."""

    supports_continuous_batching = False

    def __init__(self, on_step: Callable[[int], None]) -> None:
        self.on_step = on_step

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.on_step(input_ids.shape[1])
        return scores


class _Stopped(StoppingCriteria):
    """Ends the generation once a stop text came."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        return torch.full((input_ids.shape[0],), self.tokens.stopped, device=input_ids.device)


def answer(loaded: LoadedModel, job: Job, caches: Caches, video_reader: Reader = "pyav") -> None:
    """Answer the last message, emitting progress, text and at the end the usage.

    Raises:
        AppError: the conversation cannot be taken, or a file cannot be used.
        Cancelled: the job was cancelled.
    """
    peak = Peak(loaded.device)
    prompt, notices = prepare(loaded, job, caches, video_reader)
    if notices:
        job.emit(Chunk(notices=notices))
    with torch.inference_mode(), caches.prefixes.borrow(prompt.keys, job.params.adapter) as held:
        embeds, encoded = loaded.runner.embed(prompt, job.progress("encode_images"), held.reused)
        tokens = tokens_of(loaded, prompt, job)
        try:
            with _scoring(loaded, job.params, tokens):
                _generate(loaded, prompt, embeds, held.cache, tokens, job)
        finally:
            held.extend(tokens.ids)
    usage = replace(usage_of(tokens, prompt, job, held.reused, prompt.slices - encoded), memory=peak.bytes())
    job.emit(Chunk(finish_reason=finish_reason(tokens, job.params), usage=usage))


def prepare(loaded: LoadedModel, job: Job, caches: Caches, video_reader: Reader) -> tuple[Prompt, tuple[Notice, ...]]:
    """The prompt of as many of the latest turns as fit, and notices of what was left out."""
    params = job.params
    reader = MediaReader(
        params.max_slice_nums,
        params.max_frames,
        loaded.family.frame_slices,
        video_reader,
        job.progress("decode_video"),
        job.cancelled,
        caches.decoded,
    )
    turns = reader.read(job.messages)
    kept = fitting(loaded, turns, params, job.check)
    dropped = len(turns) - len(kept)
    prompt = loaded.runner.prepare(kept, params, has_video(turns))
    return prompt, (Notice("turns_dropped", dropped),) if dropped else ()


def fitting(
    loaded: LoadedModel, turns: Sequence[Turn], params: SamplingParams, check: Callable[[], None] = lambda: None
) -> list[Turn]:
    """As many of the latest turns as fit beside the answer.

    Args:
        check: called now and then; may raise to stop.

    Raises:
        ContextLengthError: the last turn alone does not fit.
    """
    video = has_video(turns)

    def count(some: Sequence[Turn]) -> int:
        check()
        return loaded.runner.count_tokens(some, params, video)

    # A model of one image talks about it all along.
    return fit_context(turns, count, loaded.context - params.max_new_tokens, loaded.family.max_images == 1)


def prefill_step(device: torch.device) -> int:
    """Prompt tokens read between two looks at whether somebody still waits."""
    return 512 if device.type == "cpu" else 2048


def _prefill(loaded: LoadedModel, prompt: Prompt, embeds: Tensor, cache: DynamicCache, job: Job) -> None:
    """Fill a cache with the prompt but for its last part, in steps between which the job can be cancelled."""
    step = prefill_step(embeds.device)
    length, reused = embeds.shape[1], cache.get_seq_length()
    report = job.progress("prefill")
    report(reused, length)
    for start in range(reused, length - step, step):
        loaded.runner.prefill(prompt, embeds, start, start + step, cache)
        report(start + step, length)


def _generate(
    loaded: LoadedModel, prompt: Prompt, embeds: Tensor, cache: DynamicCache, tokens: Tokens, job: Job
) -> None:
    """Generate, emitting text as it comes; a beam search emits progress, then all its text."""
    params = job.params
    searching = params.searching
    _prefill(loaded, prompt, embeds, cache, job)

    def on_step(done: int) -> None:
        job.check()
        if searching:
            job.emit(Chunk(progress=Progress("search", done, params.max_new_tokens)))

    torch.manual_seed(secrets.randbits(63) if params.seed is None else params.seed)
    output = loaded.runner.generate(
        prompt,
        embeds,
        cache,
        streamer=None if searching else tokens,
        stopping_criteria=StoppingCriteriaList([_Stopped(tokens)] if params.stop and not searching else []),
        logits_processor=LogitsProcessorList([_StepHook(on_step)]),
        **_generation_options(params),
    )
    if searching:
        tokens.put(_until_end(output[0], tokens.ends))
        tokens.end()


@contextmanager
def _scoring(loaded: LoadedModel, params: SamplingParams, tokens: Tokens) -> Iterator[None]:
    """Score the tokens that are generated meanwhile, where that is asked for."""
    count = params.logprobs
    if count is None:
        yield
        return
    with watched(loaded.runner.generating_model) as rows:

        def score_next(token: int) -> Scored:
            return score(rows.popleft(), token, count)

        tokens.logprobs = Logprobs(score_next, TokenTexts(loaded.runner.tokenizer))
        yield


def tokens_of(loaded: LoadedModel, prompt: Prompt, job: Job) -> Tokens:
    """What takes the tokens of an answer to this prompt."""
    tokenizer = loaded.runner.tokenizer
    ends, hidden = (
        frozenset(tokenizer.convert_tokens_to_ids(list(names)))
        for names in (loaded.family.terminators, loaded.family.hidden_tokens)
    )
    answer, thoughts = StreamDecoder(tokenizer), StreamDecoder(tokenizer)
    marks = loaded.runner.thinking_marks
    stop = StopTexts(job.params.stop)
    return Tokens(answer, thoughts, ends, hidden, marks, prompt.thinking, tokenizer.bos_token_id, job.emit, stop)


def _until_end(row: Tensor, ends: frozenset[int]) -> Tensor:
    """A found answer with its end token and without the padding behind it."""
    at = next((index for index, token in enumerate(row.tolist()) if token in ends), len(row))
    return row[: at + 1]


def _generation_options(params: SamplingParams) -> dict[str, Any]:
    """The options under the library's names, those of the other decode type left out."""
    options: dict[str, Any] = {
        "max_new_tokens": params.max_new_tokens,
        "repetition_penalty": params.repetition_penalty,
        "do_sample": params.do_sample,
    }
    if params.min_new_tokens:
        options["min_new_tokens"] = params.min_new_tokens
    if params.do_sample and params.min_p:
        options["min_p"] = params.min_p
    if params.do_sample:
        return options | {"temperature": params.temperature, "top_p": params.top_p, "top_k": params.top_k}
    return options | {"num_beams": params.num_beams}


def finish_reason(tokens: Tokens, params: SamplingParams) -> FinishReason:
    """Whether the model ended the answer or the limit did."""
    ended = tokens.stopped or tokens.last in tokens.ends
    return "stop" if ended or tokens.count < params.max_new_tokens else "length"


def usage_of(tokens: Tokens, prompt: Prompt, job: Job, cached_tokens: int, cached_slices: int) -> Usage:
    """What an answer cost."""
    first, last = tokens.first_at, tokens.last_at
    seconds = last - first if first is not None and last is not None else 0.0
    return Usage(
        prompt_tokens=prompt.tokens,
        vision_tokens=prompt.vision_tokens,
        cached_tokens=cached_tokens,
        cached_slices=cached_slices,
        new_tokens=tokens.count,
        ttft=None if first is None else first - job.submitted,
        tokens_per_second=(tokens.count - 1) / seconds if seconds > 0 else None,
        longest_gap=tokens.longest_gap,
    )
