"""A backend without a model: it answers with what it got. For a first look and for tests of the page."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, fields
from threading import Event
from time import monotonic, sleep
from typing import TYPE_CHECKING

from app.backends.base import Backend, Capabilities, LoadStatus
from app.errors import AppError, GenerationError, OutOfMemoryError
from app.messages import Chunk, FinishReason, Image, Message, Part, Progress, Text, Usage, Video
from app.sampling import BY_NAME, SamplingParams
from app.stop_texts import StopTexts
from app.texts import Phrase

if TYPE_CHECKING:
    from app.media.video import Reader
    from app.settings import Settings

LONG_WORDS = 3000
SLOW_FACTOR = 25
LONGEST_SILENCE = 0.05  # seconds; half of what the Backend contract allows


class EchoBackend(Backend):
    """Streams, word by word, a description of the last message and of the options that are not at their default.

    A message whose text starts with one of these words has its own effect:
        /fail   a GenerationError in the middle of the answer
        /oom    an OutOfMemoryError in the middle of the answer
        /slow   25 times slower
        /long   an answer of 3,000 more words, as far as max_new_tokens allows

    Beam search shows progress, then the whole text at once. A token is a word here, and an image, or a frame of
    a video in the last message, is one vision token.

    Args:
        delay: seconds per word.
        video_reader: library that decodes videos.
        adapters: names to offer; the one that is asked for is among the options it repeats.
    """

    def __init__(self, delay: float = 0.02, video_reader: Reader = "pyav", adapters: Sequence[str] = ()) -> None:
        self._delay = delay
        self._reader: Reader = video_reader
        self._adapters = tuple(adapters)

    @classmethod
    def from_settings(cls, settings: Settings) -> EchoBackend:
        """An echo of the usual speed."""
        return cls(video_reader=settings.video_reader, adapters=tuple(settings.adapters))

    @property
    def capabilities(self) -> Capabilities:
        """It takes everything."""
        return Capabilities(model="Echo", adapters=self._adapters)

    def start(self) -> None:
        """There is nothing to load."""

    def status(self) -> LoadStatus:
        """Always ready."""
        return LoadStatus("ready")

    def stream(
        self, messages: Sequence[Message], params: SamplingParams, user: str = ""
    ) -> Generator[Chunk, None, None]:
        """Answer with a description; see the class and `Backend.stream`."""
        clock = _Clock()
        described = yield from _describe(messages[-1], params, self._reader)
        text = f"Message {sum(message.role == 'user' for message in messages)}: {described.text}"
        command = messages[-1].text.split(maxsplit=1)[:1]
        delay = self._delay * (SLOW_FACTOR if command == ["/slow"] else 1)
        if command == ["/long"]:
            text += "".join(f" word {number}" for number in range(1, LONG_WORDS // 2 + 1))
        words = re.findall(r"\s*\S+", text)
        reason: FinishReason = "length" if len(words) > params.max_new_tokens else "stop"
        words = words[: params.max_new_tokens]
        fault = FAULTS.get(command[0]) if command else None
        said = words[: len(words) // 2] if fault else words
        if (until := _until(params.stop, said)) is not None:
            said = words = until
            reason, fault = "stop", None
        say = _say if params.do_sample else _search
        yield from say(said, len(words), delay, clock)
        if fault:
            raise fault()
        yield Chunk(finish_reason=reason, usage=_usage(messages, described.frames, len(words), clock))


def _until(stops: Sequence[str], words: Sequence[str]) -> list[str] | None:
    """What of the words is before the first stop text; None if there is none."""
    stop, shown = StopTexts(stops), []
    for word in words:
        shown.append(stop.push(word))
        if stop.found:
            return shown
    return None


def _fail() -> AppError:
    return GenerationError(Phrase("echo_failed"), Phrase("do_send_otherwise"))


def _run_out_of_memory() -> AppError:
    return OutOfMemoryError(Phrase("echo_no_memory"), Phrase("do_fewer_images"))


FAULTS = {"/fail": _fail, "/oom": _run_out_of_memory}


class _Clock:
    """Seconds since the request, and when the first words came."""

    def __init__(self) -> None:
        self._start = monotonic()
        self.ttft: float | None = None

    def tick(self) -> float:
        """Seconds since the request; the first tick is the first word."""
        now = monotonic() - self._start
        if self.ttft is None:
            self.ttft = now
        return now


@dataclass(frozen=True, slots=True)
class _Description:
    text: str
    frames: int  # of all videos


def _describe(message: Message, params: SamplingParams, reader: Reader) -> Generator[Chunk, None, _Description]:
    """What was got, in words; reading media yields progress."""
    images = sum(isinstance(part, Image) for part in message.content)
    names: list[str] = []
    counts = {Image: 0, Video: 0}
    frames = 0
    for part in message.content:
        if isinstance(part, Text):
            names.append(f'text "{part.text}"')
            continue
        counts[type(part)] += 1
        if isinstance(part, Image):
            yield Chunk(progress=Progress("encode_images", counts[Image] - 1, images))
            names.append(f"image {counts[Image]} of {_size(part)} px")
        else:
            number = yield from _frame_count(part, params, reader)
            frames += number
            names.append(f"video {counts[Video]} of {number} frame{'s' * (number != 1)}")
    return _Description(f"{', '.join(names)}. Options: {_options(params)}.", frames)


def _size(image: Image) -> str:
    from app.media.images import read_image

    width, height = read_image(image.source).size
    return f"{width}x{height}"


def _frame_count(video: Video, params: SamplingParams, reader: Reader) -> Generator[Chunk, None, int]:
    """Decode in a thread, so that the consumer sees progress and can stop it."""
    from app.media.video import read_frames

    stop, steps = Event(), [(0, 0)]
    pool = ThreadPoolExecutor(1)
    clip = pool.submit(
        read_frames,
        video.source,
        video.max_frames or params.max_frames,
        reader=reader,
        on_progress=lambda *step: steps.append(step),
        cancelled=stop.is_set,
        choice=video.choice,
    )
    try:
        while not clip.done():
            yield Chunk(progress=Progress("decode_video", *steps[-1]))
            wait([clip], timeout=LONGEST_SILENCE)
        return len(clip.result().frames)
    finally:
        stop.set()
        pool.shutdown()


def _options(params: SamplingParams) -> str:
    usual = SamplingParams.of({"do_sample": params.do_sample})
    changed = [
        f"{item.name}={getattr(params, item.name)!r}"
        for item in fields(params)
        if item.name != "do_sample" and getattr(params, item.name) != getattr(usual, item.name)
    ]
    if params.do_sample != BY_NAME["do_sample"].default:
        changed.insert(0, f"do_sample={params.do_sample}")
    return ", ".join(changed) or "all at their defaults"


def _say(words: Sequence[str], total: int, delay: float, clock: _Clock) -> Generator[Chunk, None, None]:
    for word in words:
        yield from _pause(delay)
        clock.tick()
        yield Chunk(word)


def _search(words: Sequence[str], total: int, delay: float, clock: _Clock) -> Generator[Chunk, None, None]:
    """Progress word by word, then all of them, unless the search broke off before `total`."""
    yield Chunk(progress=Progress("search", 0, total))
    for done in range(1, len(words) + 1):
        yield from _pause(delay)
        yield Chunk(progress=Progress("search", done, total))
    if len(words) == total:
        clock.tick()
        yield Chunk("".join(words))


def _pause(seconds: float) -> Iterator[Chunk]:
    """Wait, with an empty chunk now and then so that the consumer can stop it."""
    while seconds > LONGEST_SILENCE:
        sleep(LONGEST_SILENCE)
        seconds -= LONGEST_SILENCE
        yield Chunk()
    sleep(seconds)


def _usage(messages: Sequence[Message], frames: int, new: int, clock: _Clock) -> Usage:
    parts: list[Part] = [part for message in messages for part in message.content]
    vision = frames + sum(isinstance(part, Image) for part in parts)
    words = sum(len(part.text.split()) for part in parts if isinstance(part, Text))
    since_first = clock.tick() - (clock.ttft or 0.0)
    speed = (new - 1) / since_first if new > 1 and since_first > 0 else None
    return Usage(words + vision, vision, 0, new, clock.ttft, speed)
