"""Messages with files to turns with pictures, and the turns that fit the context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from app.engine.shared_cache import SharedCache
from app.errors import ContextLengthError
from app.media.clip import Cancelled
from app.messages import Image, Message, Text, Video
from app.modeling.runner import Frames, Turn

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from app.media.video import Reader

OnFrames = Callable[[int, int], None]
Medium = TypeVar("Medium", "PILImage", Frames)
Decoded = SharedCache[Any]  # of pictures and frames, by file and choice of frames


@dataclass(frozen=True, slots=True)
class MediaReader:
    """How files become pictures.

    Attributes:
        max_slice_nums: cells of an image at most.
        max_frames: frames of a video at most, where the video does not say.
        frame_slices: cells of a frame at most, by the number of frames in the conversation.
        video_reader: the library that decodes videos.
        on_frames: called with frames done and in all.
        cancelled: asked often while a video is decoded, by this reader or another one.
        decoded: what files were decoded to before; it is added to.
    """

    max_slice_nums: int
    max_frames: int
    frame_slices: Callable[[int], int]
    video_reader: Reader
    on_frames: OnFrames
    cancelled: Callable[[], bool]
    decoded: Decoded = field(default_factory=Decoded)

    def read(self, messages: Sequence[Message]) -> list[Turn]:
        """Decode everything the messages hold.

        Raises:
            MediaError: a file cannot be used.
            app.media.clip.Cancelled: `cancelled` said so.
        """
        contents = [[self._decode(part) for part in message.content] for message in messages]
        frames = sum(len(part.pictures) for content in contents for part in content if isinstance(part, Frames))
        per_frame = min(self.max_slice_nums, self.frame_slices(frames))
        return [
            self._turn(message.role, content, per_frame) for message, content in zip(messages, contents, strict=True)
        ]

    def _decode(self, part: Text | Image | Video) -> str | PILImage | Frames:
        """A text, a picture, or the frames of a video."""
        from app.media.images import read_image
        from app.media.video import read_frames

        if isinstance(part, Text):
            return part.text
        if isinstance(part, Image):
            return self._once(part.source, (), lambda: read_image(part.source))
        most = part.max_frames or self.max_frames

        def read() -> Frames:
            clip = read_frames(
                part.source,
                most,
                reader=self.video_reader,
                on_progress=self.on_frames,
                cancelled=self.cancelled,
                choice=part.choice,
            )
            return Frames(tuple(clip.frames), tuple(clip.times))

        return self._once(part.source, (most, part.choice, self.video_reader), read)

    def _once(self, source: Any, choice: tuple[Any, ...], read: Callable[[], Medium]) -> Medium:
        """What a file is decoded to; read again only if it is another or has changed."""
        if not isinstance(source, Path):
            return read()
        try:
            state = source.stat()
        except OSError:
            return read()  # which says what is wrong
        key = (str(source), state.st_ino, state.st_size, state.st_mtime_ns, *choice)
        medium: Medium = self.decoded.get(key, read, self._check)
        return medium

    def _check(self) -> None:
        if self.cancelled():
            raise Cancelled

    def _turn(self, role: str, content: Sequence[str | PILImage | Frames], per_frame: int) -> Turn:
        limits: list[int] = []
        for part in content:
            if isinstance(part, Frames):
                limits.extend([per_frame] * len(part.pictures))
            elif not isinstance(part, str):
                limits.append(self.max_slice_nums)
        return Turn(role, tuple(content), tuple(limits))


class SizeReader(MediaReader):
    """The same turns with pictures that have nothing but their sizes: from headers and time stamps, for estimates."""

    def _decode(self, part: Text | Image | Video) -> str | PILImage | Frames:
        from app.media.sizes import Sized, image_size
        from app.media.video import choose

        if isinstance(part, Text):
            return part.text
        if isinstance(part, Image):
            return self._once(part.source, ("size",), lambda: Sized(image_size(part.source)))
        most = part.max_frames or self.max_frames

        def read() -> Frames:
            chosen = choose(part.source, most, part.choice, self.video_reader, cancelled=self.cancelled)
            return Frames(tuple(Sized(chosen.size) for _ in chosen.times), chosen.times)

        return self._once(part.source, ("size", most, part.choice, self.video_reader), read)


def fit_context(
    turns: Sequence[Turn], count: Callable[[Sequence[Turn]], int], limit: int, keep_pictures: bool = False
) -> list[Turn]:
    """The latest turns whose prompt fits; the oldest questions go first, each with its answer.

    Args:
        turns: the conversation, the first and the last turn the user's.
        count: tokens of the prompt of some turns.
        limit: tokens that fit.
        keep_pictures: those of the turns that go move to the first one that stays.

    Raises:
        ContextLengthError: the last turn alone does not fit.
    """
    starts = [at for at, turn in enumerate(turns) if turn.role == "user"]

    def without(dropped: int) -> list[Turn]:
        kept = list(turns[starts[dropped] :])
        return _with_pictures_of(turns[: starts[dropped]], kept) if keep_pictures else kept

    low, high = 0, len(starts) - 1
    if count(turns) <= limit:
        return list(turns)
    # Fewer turns never have more tokens, so the first start that fits is found by halving.
    while low < high:
        middle = (low + high) // 2
        if count(without(middle)) <= limit:
            high = middle
        else:
            low = middle + 1
    kept = without(low)
    tokens = count(kept)
    if tokens > limit:
        raise ContextLengthError(tokens, max(limit, 0))
    return kept


def _with_pictures_of(dropped: Sequence[Turn], kept: Sequence[Turn]) -> list[Turn]:
    """The turns, with the pictures of those that go in front of the first one's content."""
    pictures = tuple(part for turn in dropped for part in turn.content if not isinstance(part, str))
    limits = tuple(limit for turn in dropped for limit in turn.limits)
    first, *rest = kept
    return [replace(first, content=pictures + first.content, limits=limits + first.limits), *rest]
