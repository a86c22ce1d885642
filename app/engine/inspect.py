"""What the model is given for a conversation, by the functions with which an answer begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from app.engine.answer import fitting
from app.engine.conversation import MediaReader
from app.engine.loader import LoadedModel
from app.media.video import Reader
from app.messages import Message
from app.modeling.runner import Frames, Placed, Turn, has_video
from app.sampling import SamplingParams
from app.seen import Piece, Seen, SeenPicture, SeenSlice, boxes, cuts

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


def inspect(
    loaded: LoadedModel, messages: Sequence[Message], params: SamplingParams, video_reader: Reader = "pyav"
) -> Seen:
    """The prompt and the slices of a conversation whose last message is the user's. Nothing is computed by the model.

    Raises:
        AppError: a file cannot be used, or the last turn alone does not fit.
    """
    turns = media_reader(loaded, params, video_reader).read(messages)
    kept = fitting(loaded, turns, params)
    layout = loaded.runner.lay_out(kept, params, has_video(turns))
    placed = sorted(layout.placed, key=lambda one: one.spans[0])
    dropped = len(turns) - len(kept)
    pictures = tuple(
        _seen(one, place, loaded.processor.image_processor.patch_size)
        for one, place in zip(placed, places(kept, dropped), strict=True)
    )
    spans = [span for one in placed for span in one.spans]
    return Seen(tuple(layout.ids), pictures, _pieces(loaded, layout.ids, spans), dropped, loaded.context)


def media_reader(loaded: LoadedModel, params: SamplingParams, video_reader: Reader) -> MediaReader:
    """Reads files as an answer does, but for nobody who waits."""
    return MediaReader(
        params.max_slice_nums,
        params.max_frames,
        loaded.family.frame_slices,
        video_reader,
        on_frames=lambda done, total: None,
        cancelled=lambda: False,
    )


Place = tuple[int, int, int, float | None]  # message, clip (0 is none), number, time


def places(turns: Sequence[Turn], dropped: int = 0) -> Iterator[Place]:
    """Where each picture of a conversation stands.

    Args:
        dropped: messages left out before the first of the turns.
    """
    images = clips = 0
    for message, turn in enumerate(turns, dropped):
        for part in turn.content:
            if isinstance(part, Frames):
                clips += 1
                for number, time in enumerate(part.times, 1):
                    yield message, clips, number, time
            elif not isinstance(part, str):
                images += 1
                yield message, 0, images, None


def _seen(placed: Placed, place: Place, patch: int) -> SeenPicture:
    message, clip, number, time = place
    picture: PILImage = placed.picture
    rows = zip(boxes(placed.grid), placed.tgt_sizes, placed.spans, strict=True)
    slices = tuple(SeenSlice(box, patches, span) for box, patches, span in rows)
    return SeenPicture(picture, "frame" if clip else "image", message, clip, number, time, placed.grid, slices, patch)


def _pieces(loaded: LoadedModel, ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> tuple[Piece, ...]:
    encoder, features = loaded.processor.encoder, set(spans)
    found = []
    for start, end in cuts(ids, spans, encoder.markup):
        if (start, end) in features:
            found.append(Piece("vision", "", end - start))
        else:
            special = ids[start] in encoder.markup
            found.append(Piece("special" if special else "text", encoder.text(ids[start:end]), end - start))
    return tuple(found)
