"""What an answer will take, from the sizes of its pictures alone; nothing is decoded or computed by the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from cachetools import LRUCache

from app.engine.answer import fitting
from app.engine.conversation import Decoded, SizeReader
from app.engine.loader import LoadedModel
from app.engine.memory import Request, request_bytes
from app.engine.pace_file import PaceFile
from app.engine.prefix_cache import common_length
from app.errors import ContextLengthError
from app.media.video import Reader
from app.messages import Message, Text, Usage
from app.meter import Measured
from app.modeling.content import position_keys
from app.modeling.runner import Frames, Layout, Turn, flat, has_video
from app.pace import REMEMBERED, Observed, Pace
from app.sampling import SamplingParams

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# Files whose sizes and time stamps are remembered.
REMEMBERED_FILES = 512
# Answers after which what was learned is written.
WRITE_AFTER = 16


class Measurer:
    """Measures requests to a loaded model, and learns from its answers; any thread may call it.

    Args:
        keeps: whether the engine keeps what it computed for later turns.
        knows_free: whether this process can tell what memory is free where the model answers.
        file: where what it learns is kept for the next start.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        video_reader: Reader,
        *,
        keeps: bool,
        knows_free: bool = True,
        file: PaceFile | None = None,
    ) -> None:
        self._loaded, self._video_reader, self._keeps, self._knows_free = loaded, video_reader, keeps, knows_free
        self._sizes = Decoded(LRUCache(REMEMBERED_FILES))
        self._lock = Lock()
        self._file = file
        self._pace = Pace(file.read() if file else ())
        self._unwritten = 0
        # Bytes that answers took beyond what their shapes say: libraries, heaps, what lies between.
        self._unforeseen: deque[int] = deque(maxlen=REMEMBERED)

    def measure(
        self, messages: Sequence[Message], params: SamplingParams, cancelled: Callable[[], bool] = lambda: False
    ) -> Measured:
        """What answering the last message takes.

        Args:
            cancelled: asked often while a clip's scenes are looked for.

        Raises:
            MediaError: a file cannot be used.
            RequestError: the model does not take such a conversation.
            Cancelled: `cancelled` said so.
        """
        turns = self._read(messages, params, cancelled)
        video = has_video(turns)
        whole = self._loaded.runner.lay_out(turns, params, video)
        room = max(0, self._loaded.context - params.max_new_tokens)
        kept, too_long = turns, False
        if len(whole.ids) > room:
            try:
                kept = fitting(self._loaded, turns, params)
            except ContextLengthError:
                too_long = True
        layout = whole if kept is turns else self._loaded.runner.lay_out(kept, params, video)
        tokens, slices = self._new(kept, layout, params, video)
        unforeseen = self._unforeseen_bytes()
        measured = Measured(
            tokens=len(whole.ids),
            vision_tokens=_vision_tokens(whole),
            attachments=_of_attachments(messages[-1], turns[-1], whole),
            room=room,
            context=self._loaded.context,
            dropped=len(turns) - len(kept),
            too_long=too_long,
            memory=request_bytes(self._loaded, self._request(layout, tokens, params)) + unforeseen,
            unforeseen=unforeseen,
            free=free_bytes(self._loaded.device) if self._knows_free else None,
            slices=sum(len(one.spans) for one in layout.placed),
            new_tokens=tokens,
            new_slices=slices,
        )
        return replace(measured, seconds=self._pace.seconds(tokens, slices))

    def learn(self, usage: Usage, estimate: Measured) -> None:
        """Take the time of an answer into account."""
        if usage.memory is not None:
            with self._lock:
                self._unforeseen.append(usage.memory - (estimate.memory - estimate.unforeseen))
        if usage.ttft is not None:
            slices = max(0, estimate.slices - usage.cached_slices)
            self._pace.learn(Observed(usage.prompt_tokens - usage.cached_tokens, slices, usage.ttft))
            with self._lock:
                self._unwritten += 1
                due = self._unwritten >= WRITE_AFTER
            if due:
                self.keep()

    def keep(self) -> None:
        """Write what was learned since the last time into the file, if there is one."""
        with self._lock:
            if self._file and self._unwritten:
                self._file.write(self._pace.observed)
            self._unwritten = 0

    def _unforeseen_bytes(self) -> int:
        """What answers on this machine usually took beyond what their shapes say; 0 as long as none is known."""
        return max(0, round(median(self._unforeseen))) if self._unforeseen else 0

    def _read(self, messages: Sequence[Message], params: SamplingParams, cancelled: Callable[[], bool]) -> list[Turn]:
        return SizeReader(
            params.max_slice_nums,
            params.max_frames,
            self._loaded.family.frame_slices,
            self._video_reader,
            on_frames=lambda done, total: None,
            cancelled=cancelled,
            decoded=self._sizes,
        ).read(messages)

    def _new(self, kept: Sequence[Turn], layout: Layout, params: SamplingParams, video: bool) -> tuple[int, int]:
        """Tokens and slices that the answer before has not left behind, if it was written from the turns before."""
        total = len(layout.ids), sum(len(one.spans) for one in layout.placed)
        if not self._keeps or len(kept) < 3:
            return total
        before = self._loaded.runner.lay_out(kept[:-1], params, video)
        shared = common_length(_keys(before), _keys(layout)[:-1])
        behind = [one for one in layout.placed if one.spans and one.spans[-1][1] > shared]
        return total[0] - shared, sum(len(one.spans) for one in behind)

    def _request(self, layout: Layout, new_tokens: int, params: SamplingParams) -> Request:
        sizes = [rows * columns for one in layout.placed for rows, columns in one.tgt_sizes]
        pixels = sum(one.picture.width * one.picture.height for one in layout.placed)
        beams = params.num_beams if params.searching else 1
        return Request(len(layout.ids), new_tokens, params.max_new_tokens, beams, tuple(sizes), pixels)


def free_bytes(device: torch.device) -> int | None:
    """Bytes that are free where the model runs; on a GPU those that torch has in reserve count as free."""
    if device.type == "cuda":
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + reserve)
    return int(psutil.virtual_memory().available)


def described(loaded: LoadedModel) -> str:
    """On what a model runs and in which dtype, as far as that decides how long an answer takes."""
    cuda = loaded.device.type == "cuda"
    where = torch.cuda.get_device_name(loaded.device) if cuda else f"{loaded.device.type} x{torch.get_num_threads()}"
    return f"{where}, {loaded.model.dtype}"


def _keys(layout: Layout) -> Any:
    """What stands at each position, pictures told apart by their file's entry among the remembered sizes."""
    keys = np.asarray(layout.ids, np.int64)
    for one in layout.placed:
        digest = id(one.picture).to_bytes(8) + repr(one.plan).encode()
        for index, (start, end) in enumerate(one.spans):
            keys[start:end] = position_keys(digest, index, end - start)
    return keys


def _vision_tokens(layout: Layout) -> int:
    return sum(end - start for one in layout.placed for start, end in one.spans)


def _of_attachments(message: Message, turn: Turn, layout: Layout) -> tuple[int, ...]:
    """Positions that each picture and clip of the last message takes."""
    placed = sorted(layout.placed, key=lambda one: one.spans[0])
    of_last = iter(placed[len(placed) - sum(not isinstance(part, str) for part in flat(turn.content)) :])

    def tokens(count: int) -> int:
        return sum(end - start for _ in range(count) for start, end in next(of_last).spans)

    media: Iterator[PILImage | Frames] = (part for part in turn.content if not isinstance(part, str))
    counts = [len(part.pictures) if isinstance(part, Frames) else 1 for part in media]
    assert len(counts) == sum(not isinstance(part, Text) for part in message.content)
    return tuple(tokens(count) for count in counts)
